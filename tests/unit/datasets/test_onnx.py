import numpy as np
import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from steel_xai.datasets.onnx import OnnxDataset

onnx = pytest.importorskip("onnx")


@pytest.fixture
def dataset(tmp_path):
    return OnnxDataset(filepath=str(tmp_path / "model.onnx"), version=Version(None, None))


def make_model(domain=""):
    """Make a model that adds a constant."""
    value = onnx.numpy_helper.from_array(np.ones(3, np.float32), "one")
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3]) for name in "xy")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "one"], ["y"], domain=domain)], "g", [x], [y], [value]
    )
    imports = [onnx.helper.make_opsetid("", 18)] + ([onnx.helper.make_opsetid(domain, 1)] if domain else [])
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=10)


def make_branching_model(domain="", external=()):
    """Make a model that gives one constant or another: ``If`` holds a graph with an initializer, and one with a node.

    ``domain`` is that of an operator within a branch, ``external`` names the tensors that are in another file.
    """
    values = {name: onnx.numpy_helper.from_array(np.ones(3, np.float32), name) for name in ("kept", "made", "sparse")}
    for name in external:
        put_elsewhere(values[name])
    indices = onnx.numpy_helper.from_array(np.arange(3), "indices")
    sparse = onnx.helper.make_sparse_tensor(values["sparse"], indices, [3])
    x, y, then, other = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3]) for name in ("x", "y", "then", "other")
    )
    condition = onnx.numpy_helper.from_array(np.array(True), "condition")
    branches = {
        "then_branch": onnx.helper.make_graph(
            [onnx.helper.make_node("Add", ["x", "kept"], ["then"], domain=domain)], "t", [], [then], [values["kept"]]
        ),
        "else_branch": onnx.helper.make_graph(
            [
                onnx.helper.make_node("Constant", [], ["made"], value=values["made"]),
                onnx.helper.make_node("Constant", [], ["sparse"], sparse_value=sparse),
                onnx.helper.make_node("Add", ["made", "sparse"], ["other"]),
            ],
            "e",
            [],
            [other],
        ),
    }
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("If", ["condition"], ["y"], **branches)], "g", [x], [y], [condition]
    )
    imports = [onnx.helper.make_opsetid("", 18)] + ([onnx.helper.make_opsetid(domain, 1)] if domain else [])
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=10)


def put_elsewhere(tensor):
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


@pytest.mark.parametrize("make", [make_model, make_branching_model])
def test_loaded_bytes_are_those_saved(dataset, make):
    content = make().SerializeToString()
    dataset.save(content)
    assert dataset.load() == content


def tamper(kind):
    model = make_model(domain="evil.org" if kind == "foreign operators" else "")
    if kind == "files elsewhere":
        put_elsewhere(*model.graph.initializer)
    if kind == "unknown operator":
        model.graph.node[0].op_type = "RunProgram"
    if kind == "missing input":
        model.graph.node[0].input[1] = "two"
    if kind == "wrong shape":
        model.graph.initializer[0].dims[0] = 7
    if kind == "local function":
        model.functions.add(name="f", domain="local")
    content = model.SerializeToString()
    if kind == "truncated":
        return content[:-20]
    return {"text": b"import os", "empty": b""}.get(kind, content)


@pytest.mark.parametrize(
    "kind",
    [
        "truncated",
        "text",
        "empty",
        "files elsewhere",
        "foreign operators",
        "unknown operator",
        "missing input",
        "wrong shape",
        "local function",
    ],
)
def test_tampered_file_is_refused_by_name(dataset, tmp_path, kind):
    dataset.save(tamper(kind))
    (path,) = tmp_path.glob("model.onnx/*/model.onnx")
    with pytest.raises(DatasetError, match=f"{path} is no sound ONNX model"):
        dataset.load()


@pytest.mark.parametrize("name", ["kept", "made", "sparse"])
def test_tensor_in_another_file_is_refused_wherever_it_stands(dataset, name):
    dataset.save(make_branching_model(external=[name]).SerializeToString())
    with pytest.raises(DatasetError, match="its weights are in other files"):
        dataset.load()


def test_operator_of_others_is_refused_within_a_branch(dataset):
    dataset.save(make_branching_model(domain="evil.org").SerializeToString())
    with pytest.raises(DatasetError, match="it has operators that are not ONNX' own"):
        dataset.load()


def test_full_disk_leaves_no_version(dataset, tmp_path, monkeypatch):
    def fail(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save(b"")
    assert not dataset.exists()
    assert not list(tmp_path.iterdir())
