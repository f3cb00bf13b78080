"""Processors in another process, which run the function of this folder."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.processor_service import ProcessorService
from tests.serving import free_port

from polyglot_gateway.processor.open import open_processor
from polyglot_gateway.processor.remote import RemoteProcessor

FUNCTION = Path(__file__).with_name("function.py")
NAME = "obedient:obey"


@contextlib.contextmanager
def running_service(folder: Path) -> Iterator[ProcessorService]:
    shutil.copy(FUNCTION, folder / "obedient.py")
    service = ProcessorService(folder, NAME)
    try:
        yield service.wait_until_ready()
    finally:
        service.kill_everything()


def open_elsewhere(kind: str, service: ProcessorService, **options: float) -> RemoteProcessor:
    """By HTTP alone or by gRPC alone: of the other, nobody is at the port."""
    if kind == "http":
        return open_processor("http", [service.url], **options)
    return open_processor("grpc", [f"http://127.0.0.1:{free_port()}"], grpc_port=service.grpc_port, **options)
