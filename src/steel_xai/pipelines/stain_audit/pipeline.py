"""{task}.model, {task}.predictions, sheets, sheet_index -> {task}.stain_audit and figures.

::

    model, sheets, masks, sheet_index, split --> intervene --> stain_interventions, stain_shifts, stain_examples
    model, sheets, masks, sheet_index, split --> measure_dose --> stain_dose_response --> plot_dose
    model, predictions, sheets, sheet_index, stain_interventions --> audit_stains --> stain_audit --> plot_groups
    model, predictions, sheets, sheet_index, attribute_list
        --> audit_attributes --> attribute_audits, attribute_distributions
"""

from kedro.pipeline import Node, Pipeline

from .nodes import audit_attributes, audit_stains, intervene, measure_dose, plot_dose, plot_groups


def create_pipeline(task: str) -> Pipeline:
    """Audit the model of ``task``."""
    template = Pipeline(
        [
            Node(
                intervene,
                inputs=[
                    "model",
                    "sheets",
                    "masks",
                    "sheet_index",
                    "split",
                    "params:data_source",
                    "params:stain_audit",
                    "params:data_processing",
                    "params:training",
                ],
                outputs=["stain_interventions", "stain_shifts", "stain_examples"],
                name="intervene",
            ),
            Node(
                measure_dose,
                inputs=[
                    "model",
                    "sheets",
                    "masks",
                    "sheet_index",
                    "split",
                    "params:stain_audit",
                    "params:data_processing",
                    "params:training",
                ],
                outputs="stain_dose_response",
                name="measure_dose",
            ),
            Node(
                audit_stains,
                inputs=[
                    "model",
                    "predictions",
                    "sheets",
                    "sheet_index",
                    "stain_interventions",
                    "params:data_source",
                    "params:stain_audit",
                    "params:data_processing",
                    "params:training",
                ],
                outputs=["stain_audit", "stain_groups"],
                name="audit_stains",
            ),
            Node(
                audit_attributes,
                inputs=[
                    "model",
                    "predictions",
                    "sheets",
                    "sheet_index",
                    "attribute_list",
                    "params:class_names",
                    "params:data_source",
                    "params:stain_audit",
                    "params:data_processing",
                ],
                outputs=["attribute_audits", "attribute_distributions"],
                name="audit_attributes",
            ),
            Node(
                plot_groups,
                inputs=["stain_groups", "stain_audit", "model", "params:data_source"],
                outputs="stain_distributions",
                name="plot_groups",
            ),
            Node(
                plot_dose,
                inputs=["stain_dose_response", "model", "params:data_source"],
                outputs="stain_dose_curve",
                name="plot_dose",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="stain_audit",
        inputs={"sheets", "masks", "sheet_index", "attribute_list"},
        parameters={"params:data_source", "params:class_names", "params:stain_audit", "params:data_processing"},
    )
