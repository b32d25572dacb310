"""The log of a service process: JSON lines, from our own code and from the libraries alike."""

import logging
import logging.handlers
import sys
from pathlib import Path

import structlog
from structlog.types import Processor

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,  # the text of a traceback: no local variables, which may hold secrets
]


_FILE_BYTES = 8 * 2**20


def configure_logging(file: Path) -> None:
    """Send the log of this process to `file`, which is rotated once; what somebody should look at goes to stderr too."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    lines = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.PositionalArgumentsFormatter()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    to_file = logging.handlers.RotatingFileHandler(file, maxBytes=_FILE_BYTES, backupCount=1, encoding="utf-8")
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(logging.WARNING)
    for handler in (to_file, to_terminal):
        handler.setFormatter(lines)
    logging.basicConfig(handlers=[to_file, to_terminal], level=logging.WARNING, force=True)
    logging.getLogger("neuro_buckets").setLevel(logging.INFO)
