"""Is the world at fault, or the record? A failure of the world is tried again and parks nothing."""

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.failures import Retry


def is_infrastructure(error: BaseException) -> bool:
    """Whether the database, the log, the network or the disk failed, rather than what it was given."""
    if isinstance(error, DBAPIError):
        return not isinstance(error, IntegrityError | DataError | ProgrammingError)
    return isinstance(error, Retry | OSError | PoolTimeout | TimeoutError)
