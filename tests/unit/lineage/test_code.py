import textwrap

import pytest

from steel_xai.lineage.code import Sources

MODULES = {
    "__init__": "",
    "nodes": '''
        """Nodes."""
        from toy.kinds import Kind

        def train(sheets: Kind, training: dict):
            from toy import domain
            return domain.fit(sheets, training.epochs, training.rate)

        def draw(history):
            from toy import plots
            return plots.curve(history)

        def report(everything, training):
            return Reporter().write(everything, training)

        class Reporter:
            def write(self, everything, training):
                from toy.plots.style import WIDTH
                return WIDTH
    ''',
    "domain": '''
        """The domain."""
        RATE = 0.5  # a comment
        UNUSED = 1

        def fit(sheets, epochs, rate):
            """Fit."""
            return _step(sheets) * RATE

        def _step(sheets):
            return sheets.grey()

        def evaluate():
            return UNUSED
    ''',
    "plots/__init__": "from toy.plots.curves import curve\nfrom .bars import bar\n",
    "plots/curves": "from .style import WIDTH\n\ndef curve(history):\n    return WIDTH\n",
    "plots/bars": "def bar():\n    return 1\n",
    "plots/style": "WIDTH = 3\n",
    "kinds": """
        from typing import TYPE_CHECKING, Any

        if TYPE_CHECKING:
            from toy.sheet import Sheet as Kind
            from toy.unrelated import Unrelated as Other
        else:
            Kind = Other = Any
    """,
    "sheet": "class Sheet:\n    def grey(self):\n        return 1\n",
    "unrelated": "class Unrelated:\n    pass\n",
}
TRAIN, DRAW, REPORT = (f"toy.nodes:{name}" for name in ("train", "draw", "report"))


@pytest.fixture
def package(tmp_path):
    for name, text in MODULES.items():
        path = tmp_path / "toy" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path / "toy"


def fingerprints(package):
    """The functions' fingerprints, each read anew from disk."""
    return {root: Sources(package).fingerprints([root]) for root in (TRAIN, DRAW, REPORT)}


def edit(package, module, old, new):
    path = package / f"{module}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def changed_by(package, module, old, new):
    before = fingerprints(package)
    edit(package, module, old, new)
    after = fingerprints(package)
    return {root.partition(":")[2] for root in before if before[root] != after[root]}


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("domain", "# a comment", "# another"),
        ("domain", '"""Fit."""', '"""Fit well."""'),
        ("domain", '"""The domain."""', ""),
        ("domain", "RATE = 0.5", "RATE   =   0.5"),
        ("nodes", "sheets: Kind, training: dict", "sheets: Kind,\n          training: dict"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(package, module, old, new):
    assert changed_by(package, module, old, new) == set()


@pytest.mark.parametrize(
    ("module", "old", "new", "changed"),
    [
        ("domain", "* RATE", "+ RATE", {"train"}),  # in the function itself
        ("domain", "sheets.grey()", "sheets", {"train"}),  # in a helper
        ("domain", "RATE = 0.5", "RATE = 0.6", {"train"}),  # a constant
        ("domain", "UNUSED = 1", "UNUSED = 2", set()),  # beside it in the module
        ("plots/curves", "return WIDTH", "return 2 * WIDTH", {"draw"}),  # re-exported by the package
        ("plots/bars", "return 1", "return 2", set()),  # beside it in the package
        ("plots/style", "WIDTH = 3", "WIDTH = 4", {"draw", "report"}),  # imported within a method, and by a helper
        ("sheet", "return 1", "return 2", {"train"}),  # named in an annotation only
        ("unrelated", "pass", "x = 1", set()),
        ("nodes", "training.rate", "1.0", {"train"}),
    ],
)
def test_a_change_counts_for_what_needs_it_and_for_nothing_else(package, module, old, new, changed):
    assert changed_by(package, module, old, new) == changed


def test_fingerprints_name_the_modules_that_changed(package):
    before = Sources(package).fingerprints([TRAIN])
    assert set(before) == {"toy.nodes", "toy.domain", "toy.kinds", "toy.sheet"}
    edit(package, "domain", "RATE = 0.5", "RATE = 0.6")
    after = Sources(package).fingerprints([TRAIN])
    assert {name for name in before if before[name] != after[name]} == {"toy.domain"}


def test_files_that_are_no_code_belong_to_the_modules_of_their_package(package):
    (package / "plots" / "templates").mkdir()
    page = package / "plots" / "templates" / "page.css"
    page.write_text("one")
    before = fingerprints(package)
    page.write_text("another")
    (package / "plots" / ".page.css.swp").touch()
    (package / "plots" / "__pycache__").mkdir()
    (package / "plots" / "__pycache__" / "curves.pyc").touch()
    after = fingerprints(package)
    changed = {
        root: {name for name in after[root] if before[root].get(name) != after[root][name]} for root in (TRAIN, DRAW)
    }
    assert changed == {TRAIN: set(), DRAW: {"toy/plots/templates/page.css"}}


def test_the_code_is_that_of_the_moment_at_which_it_was_read(package):
    sources = Sources(package)
    before = fingerprints(package)[TRAIN]
    edit(package, "domain", "RATE = 0.5", "RATE = 0.6")
    assert sources.fingerprints([TRAIN]) == before


@pytest.mark.parametrize(
    ("module", "text", "edited"),
    [
        ("late", "import toy.side\nRATE = 1\n", "side"),  # imported, and not used by name
        ("late", "RATE = 1\nfor step in (1, 2):\n    RATE += 1\n", "late"),
        ("late", "from toy.side import *\n", "side"),
    ],
)
def test_what_an_import_does_counts_too(package, module, text, edited):
    (package / f"{module}.py").write_text(text)
    (package / "side.py").write_text("import sys\nRATE = 2\nsys.setrecursionlimit(1000)\n")
    edit(package, "domain", "RATE = 0.5  # a comment", "from toy.late import RATE")
    old, new = ("1000", "2000") if edited == "side" else ("(1, 2)", "(1, 2, 3)")
    assert changed_by(package, edited, old, new) == {"train"}


def test_a_module_handed_around_as_an_object_counts_whole(package):
    edit(package, "nodes", "domain.fit(sheets, training.epochs, training.rate)", "getattr(domain, training.how)()")
    assert changed_by(package, "domain", "UNUSED = 1", "UNUSED = 2") == {"train"}


def test_annotations_that_are_text_are_read(package):
    edit(package, "nodes", "sheets: Kind", 'sheets: "Kind | None"')
    assert changed_by(package, "sheet", "return 1", "return 2") == {"train"}


def test_modules_that_import_each_other_end(package):
    (package / "one.py").write_text("from toy import two\n\ndef a():\n    return two.b()\n")
    (package / "two.py").write_text("from toy import one\n\ndef b():\n    return one.a()\n")
    assert set(Sources(package).fingerprints(["toy.one:a"])) == {"toy.one", "toy.two"}


def test_code_of_other_packages_has_no_fingerprint(package):
    assert Sources(package).fingerprints(["json:dumps"]) == {}


def test_a_function_that_is_not_at_the_top_level_stands_for_its_module(package):
    assert Sources(package).fingerprints(["toy.domain:maker.<locals>.inner"]).keys() == {"toy.domain"}


@pytest.mark.parametrize(
    ("function", "argument", "used"),
    [
        (TRAIN, "training", {"epochs", "rate"}),
        (TRAIN, "sheets", None),
        (REPORT, "training", None),  # handed on
        ("toy.nodes:nothing", "training", None),
        ("json:dumps", "obj", None),
    ],
)
def test_attributes_taken_from_an_argument(package, function, argument, used):
    assert Sources(package).used_attributes(function, argument) == used


def test_an_argument_that_is_never_used_has_no_attributes_and_one_that_is_rebound_may_have_any(package):
    (package / "more.py").write_text("def f(a, b):\n    b = b.copy()\n    return b.x\n")
    sources = Sources(package)
    assert sources.used_attributes("toy.more:f", "a") == set()
    assert sources.used_attributes("toy.more:f", "b") is None
