"""Secrets at rest: sealed with AES-256-GCM and bound to the row that they stand in, so that a copy in another row opens nothing."""

import base64
import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from neuro_buckets.errors import SecretsUnavailable

_NONCE_BYTES = 12


class Vault:
    """Seals with the first of its keys, opens with any. What is sealed names its key: `<key id>.<nonce and ciphertext>`."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self.current = _id_of(keys[0])

    def seal(self, text: str, row: str) -> str:
        """`text` as only `open` with the same `row` gives it back."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self.current].encrypt(nonce, text.encode(), row.encode())
        return f"{self.current}.{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, row: str) -> str:
        """The text that was sealed for `row`.

        Raises:
            SecretsUnavailable: it was sealed with a key that is not here, or for another row, or was changed.
        """
        key_id, _, text = sealed.partition(".")
        data = base64.b64decode(text)
        try:
            return self._ciphers[key_id].decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], row.encode()).decode()
        except (KeyError, InvalidTag) as error:
            raise SecretsUnavailable(
                f"the secrets of {row} in the database cannot be opened: they were sealed with key {key_id}, and here are"
                f" {', '.join(self._ciphers)}; restore the key file that belongs to this database"
            ) from error


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"neuro-buckets vault key id" + key).hexdigest()[:8]
