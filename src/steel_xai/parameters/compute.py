"""Parameters of where the work is done."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from steel_xai.parameters.base import Section


class ComputeParameters(Section):
    """On how many devices a network is trained at once, and where maps over sheets run.

    ``devices`` are GPUs, or processes on a CPU, that share every batch; batches stay what they are. ``backend`` is what
    joblib hands the sheets to: this machine, or the Dask cluster whose scheduler is at the address ``scheduler``.
    """

    devices: Annotated[int, Field(ge=1)]
    backend: Literal["local", "dask"]
    scheduler: str | None

    @model_validator(mode="after")
    def _scheduler_of_a_cluster(self) -> Self:
        if (self.backend == "dask") != (self.scheduler is not None):
            raise ValueError(
                "compute.scheduler is the address of a Dask cluster (tcp://host:8786): give it with "
                "compute.backend: dask, and null with compute.backend: local"
            )
        return self
