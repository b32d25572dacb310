"""Secrets at rest: sealed with AES-256-GCM and bound to the row that they stand in, so that a copy in another row opens nothing."""

import base64
import hashlib
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from neuro_buckets.errors import ConfigError, SecretsUnavailable
from neuro_buckets.key_files import KEY_ID_CHARACTERS, load_key, old_key_files, read_key

WHAT_ENDS = "all persistent credentials and imported buckets"
_NONCE_BYTES = 12


class Vault:
    """Seals with the key in a file, opens with that and with those that it has replaced.

    What is sealed names its key: `<key id>.<nonce and ciphertext>`. A key that is replaced while this lives is noticed
    by the next call that needs it.
    """

    def __init__(self, file: Path) -> None:
        """Read the keys; the first one is made where there is none.

        Raises:
            ConfigError: a key file cannot be used.
        """
        self._file = file
        load_key(file, WHAT_ENDS)
        self._read()

    @property
    def file(self) -> Path:
        """Where the key lives that seals."""
        return self._file

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._current

    @property
    def key_ids(self) -> set[str]:
        """The ids of the keys that open."""
        return set(self._ciphers)

    def refresh(self) -> None:
        """Notice a key that was replaced since.

        Raises:
            SecretsUnavailable: the key file was taken away while the service runs.
        """
        if self._mark() != self._seen:
            self._read_again()

    def seal(self, text: str, row: str) -> str:
        """`text` as only `open` with the same `row` gives it back.

        Raises:
            SecretsUnavailable: the key file was taken away while the service runs.
        """
        self.refresh()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, text.encode(), row.encode())
        return f"{self._current}.{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, row: str) -> str:
        """The text that was sealed for `row`.

        Raises:
            SecretsUnavailable: it was sealed with a key that is not here, or for another row, or was changed.
        """
        key_id, _, text = sealed.partition(".")
        if key_id not in self._ciphers:
            self._read_again()
        data = base64.b64decode(text)
        try:
            return self._ciphers[key_id].decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], row.encode()).decode()
        except (KeyError, InvalidTag) as error:
            raise SecretsUnavailable(
                f"the secrets of {row} in the database cannot be opened: they were sealed with key {key_id}, and here are"
                f" {', '.join(self._ciphers)}; restore the key file that belongs to this database"
            ) from error

    def key_id_in(self, file: Path) -> str:
        """The id of the key in a file.

        Raises:
            ConfigError: the file cannot be used.
        """
        return _id_of(read_key(file, WHAT_ENDS))

    def _read(self) -> None:
        self._seen = self._mark()  # before reading: a key that is replaced meanwhile is noticed by the next call
        key = read_key(self._file, WHAT_ENDS)
        old = [read_key(file, WHAT_ENDS) for file in old_key_files(self._file)]
        self._current = _id_of(key)
        self._ciphers = {_id_of(one): AESGCM(one) for one in (key, *old)}

    def _read_again(self) -> None:
        try:
            self._read()
        except ConfigError as error:
            raise SecretsUnavailable(f"{error}; until then no secret can be kept") from error

    def _mark(self) -> tuple[int, int, int] | None:
        """What changes with the file; None where there is none."""
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"neuro-buckets vault key id" + key).hexdigest()[:KEY_ID_CHARACTERS]
