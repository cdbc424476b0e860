"""The error tree. Every failure of Stope is one of these, and says what, where and how to fix it.

::

    StopeError
    ├── UsageError                 the command or call is wrong                    (exit code 2)
    ├── PermanentError             trying again cannot help                        (exit code 1)
    │   ├── InputError             missing, not audio, empty, unreadable
    │   ├── ModelFileError         weights absent, unknown or of a wrong hash
    │   ├── ProviderRejectedError  400, 401, 403, 404, 422, quota gone
    │   ├── RecordsError           the records cannot be read or written as they are
    │   ├── ArtifactError          a stored artifact is absent or damaged
    │   ├── ObjectMissingError     an object store has no object of that name
    │   ├── ObjectChangedError     an object was replaced while it was read
    │   ├── StorageRefusedError    an object store denies us, or has no such bucket
    │   ├── DiarizationError       speakers are required and cannot be told apart
    │   ├── DestinationRefusedError    an upload's destination does not take what it is given
    │   ├── ResumeError            a checkpoint does not fit, and must
    │   └── StageFailedError       not one unit of a stage could be done
    ├── PausedError                somebody has to decide before it goes on         (run paused)
    │   └── BudgetReachedError     the next call could pass the limit of money or tokens
    ├── TransientError             the same attempt may succeed later               (retried)
    │   ├── ProviderUnavailableError   refused, timed out, 408, 409, 5xx
    │   ├── ProviderRateLimitedError   429
    │   ├── RecordsBusyError           database locked, restarting or out of disk
    │   ├── StorageFullError       the disk for artifacts or decoded audio is full
    │   ├── StorageUnavailableError    an object store or an input's server cannot be reached
    │   ├── DestinationUnavailableError    an upload's destination cannot be reached
    │   │   ├── DestinationRateLimitedError    it asks for fewer requests
    │   │   └── PutOffError            it is there, and puts this item off
    │   ├── ServerUnavailableError     Temporal does not answer
    │   └── WorkerDrainingError        this worker is leaving; another goes on
    └── UnitError                  one unit cannot be done; the rest goes on          (a gap)
        ├── AnswerInvalidError     the model's answer never fitted the schema
        ├── AnswerTruncatedError   the answer was cut and the unit cannot be split further
        ├── ChunkUndecodableError  this stretch of audio cannot be decoded
        └── ItemRefusedError       an upload's destination does not take this item

``activities/failures.py`` translates the tree to Temporal, once.
"""

from __future__ import annotations

import errno


class StopeError(Exception):
    """Base of every error of Stope.

    ``str(error)`` is one sentence for a person: what happened, where, how to mend it. It never
    carries a secret.
    """

    retryable: bool = False

    @property
    def code(self) -> str:
        """The stable name of the error, stored with a failed run."""
        return type(self).__name__.removesuffix("Error")


class UsageError(StopeError):
    """The command line, a configuration value or a call is wrong."""


class PermanentError(StopeError):
    """Trying again cannot help until somebody changes something."""


class InputError(PermanentError):
    """The input is missing, unreadable, empty or not what its job needs."""


class ModelFileError(PermanentError):
    """Model weights are absent, unknown, or their hash is wrong."""


class ProviderRejectedError(PermanentError):
    """A model provider refused the request for good."""


class RecordsError(PermanentError):
    """The records database cannot be used as it is."""


class ArtifactError(PermanentError):
    """A stored artifact is absent or its bytes do not match its digest."""


class ObjectMissingError(PermanentError):
    """An object store that was reached has no object of that name."""


class ObjectChangedError(PermanentError):
    """An object was replaced by another one while it was read."""


class StorageRefusedError(PermanentError):
    """An object store was reached and does not let us: no right, no credentials, no such bucket."""


class DiarizationError(PermanentError):
    """The speakers cannot be told apart, or not by this engine in the way that is asked for."""


class DestinationRefusedError(PermanentError):
    """The destination of an upload does not take anything from us as it is."""


class ResumeError(PermanentError):
    """What is kept of a run does not fit what is asked for, and a fresh start is not wanted."""


class StageFailedError(PermanentError):
    """Not one unit of a stage could be done."""


class PausedError(StopeError):
    """The run waits, resumably, for a decision of a person."""


class BudgetReachedError(PausedError):
    """The next call could pass the limit of money or tokens that the run was given."""


class TransientError(StopeError):
    """The same request may succeed later.

    Args:
        message: one sentence for a person.
        retry_after: seconds the other side asked us to wait, when it said so.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderUnavailableError(TransientError):
    """A model provider could not be reached or failed on its side."""


class ProviderRateLimitedError(TransientError):
    """A model provider asked for fewer requests."""


class RecordsBusyError(TransientError):
    """The records database is locked, restarting, unreachable or out of disk."""


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a file cannot grow: disk, quota and size limit."""


class StorageFullError(TransientError):
    """The disk that a file of ours should go to is full."""


class StorageUnavailableError(TransientError):
    """An object store, or the server of an input, cannot be reached or fails on its side."""


class DestinationUnavailableError(TransientError):
    """The destination of an upload cannot be reached or fails on its side."""


class DestinationRateLimitedError(DestinationUnavailableError):
    """The destination of an upload asks for fewer requests, whatever is in them."""


class PutOffError(DestinationUnavailableError):
    """The destination of an upload is there and puts an item off. It is tried a few times more."""


class ServerUnavailableError(TransientError):
    """The Temporal server does not answer."""


class WorkerDrainingError(TransientError):
    """This worker is leaving: what was in flight is committed, another worker goes on."""


class UnitError(StopeError):
    """One unit cannot be done. The run goes on and names the gap."""


class AnswerInvalidError(UnitError):
    """The model's answer did not fit the schema, also after the repair attempt."""


class AnswerTruncatedError(UnitError):
    """The model's answer was cut off, and the unit cannot be made smaller."""


class ChunkUndecodableError(UnitError):
    """A stretch of audio cannot be decoded."""


class ItemRefusedError(UnitError):
    """The destination of an upload does not take this item, or does not keep it as it is."""
