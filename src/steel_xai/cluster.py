"""A Dask cluster as the place where joblib's maps over sheets run."""

from collections.abc import Iterator
from contextlib import contextmanager

from steel_xai.errors import InputError

_SECONDS_TO_CONNECT = 20


@contextmanager
def on_cluster(scheduler: str) -> Iterator[None]:
    """Send maps over sheets to the workers of a Dask cluster for the length of a block.

    A worker that is lost in the middle is made good by others: its batches are worked on again. The workers need this
    package in the same version, and see raw files under the same names.

    Args:
        scheduler: Address of the scheduler, ``tcp://host:8786``.

    Raises:
        InputError: Dask is not installed, or nobody answers there, or the cluster has no worker.
    """
    try:
        from dask import config
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "compute.backend: dask needs Dask, which is not installed; `make setup` in the project's folder installs "
            "it, and so does `pip install '.[cluster]'` there"
        ) from error
    from joblib import parallel_config
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        """Dask's, for clusters of one thread as well: joblib keeps single jobs in the calling process."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            n_threads: int = super().effective_n_jobs(n_jobs)
            return max(2, n_threads)

    try:
        client = Client(scheduler, timeout=_SECONDS_TO_CONNECT)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise InputError(
            f"compute.scheduler: no Dask scheduler answers at {scheduler} ({error}); start one by `dask scheduler`, "
            "and workers by `dask worker`"
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise InputError(
                f"compute.scheduler: the cluster at {scheduler} has no worker; start some by `dask worker {scheduler}`"
            )
        # Dask advises against sending data with a task; here each batch is sent once, and must outlive any one worker.
        quiet = config.set({"distributed.admin.large-graph-warning-threshold": "1GiB"})
        with quiet, parallel_config(backend=Backend(client=client), n_jobs=-1):
            yield
