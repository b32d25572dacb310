"""The calls that say who may reach a bucket, and that make what opens it: credentials and signed addresses."""

from collections.abc import AsyncGenerator, Iterable, Sequence

from yarl import URL

from neuro_sdk._api import Scope
from neuro_sdk._errors import ArgumentTypeError, IllegalArgumentError
from neuro_sdk._models import Bucket, BucketCredentials, BucketRole, BucketShare, PersistentBucketCredentials
from neuro_sdk._streams import Stream

from ._base import Calls

MAX_SIGNED_SECONDS = 7 * 24 * 3600


class AccessCalls(Calls):
    """Access: temporary and persistent credentials, public buckets, shares, signed addresses."""

    async def request_tmp_credentials(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BucketCredentials:
        """Fresh provider credentials that allow this bucket and nothing else, and end by themselves."""
        cluster = await self._api.cluster(cluster_name)
        scope = Scope(bucket_owner, org_name, project_name)
        return await self._api.make_tmp_credentials(cluster, bucket_id_or_name, scope)

    async def set_public_access(
        self,
        bucket_id_or_name: str,
        public_access: bool,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Bucket:
        """Let everyone read and list the bucket without credentials, or nobody else any more. Never lets anyone write.

        Returns:
            The bucket as it is then; `public` is true once everyone can read it, false once nobody can.
        """
        if not isinstance(public_access, bool):
            raise ArgumentTypeError(f"public_access is True or False, not {public_access!r}")
        cluster = await self._api.cluster(cluster_name)
        scope = Scope(bucket_owner, org_name, project_name)
        bucket = await self._api.set_public_access(cluster, bucket_id_or_name, scope, public_access)
        self._opener.forget(bucket)
        return bucket

    async def share(
        self,
        bucket_id_or_name: str | None,
        user: str,
        role: BucketRole | str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> BucketShare:
        """Give a user a role on a bucket, instead of any that they were given on it before.

        With None for the bucket the role is on a whole project: the one of `org_name` and `project_name`, or the caller's own.
        They reach the bucket as `blob:/owner/bucket` or by its id. Only a manager can share.

        Raises:
            ResourceNotFound: there is no such user.
        """
        try:
            role = BucketRole(role)
        except ValueError:
            raise IllegalArgumentError(f"role is one of {', '.join(BucketRole)}, not {role!r}") from None
        cluster = await self._api.cluster(cluster_name)
        scope = Scope(bucket_owner, org_name, project_name)
        return await self._api.put_share(cluster, bucket_id_or_name, scope, user, role)

    async def unshare(
        self,
        bucket_id_or_name: str | None,
        user: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """Take away the role that a user was given on a bucket, or with None on a project, as in `share`.

        Their persistent credentials and signed addresses lose it at once; temporary ones that they have already end with their hour.

        Raises:
            ResourceNotFound: they were given none.
        """
        cluster = await self._api.cluster(cluster_name)
        await self._api.delete_share(cluster, bucket_id_or_name, Scope(bucket_owner, org_name, project_name), user)

    async def shares(
        self,
        bucket_id_or_name: str | None,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> Sequence[BucketShare]:
        """The roles that were given on a bucket, or with None on a project, as in `share`; by user."""
        cluster = await self._api.cluster(cluster_name)
        return await self._api.list_shares(cluster, bucket_id_or_name, Scope(bucket_owner, org_name, project_name))

    async def make_signed_url(self, uri: URL, expires_in_seconds: int = 3600, *, put: bool = False) -> URL:
        """An address with which anyone can GET the blob, for up to 7 days. Whether the blob is there is not checked.

        With `put` it is one with which anyone can PUT the blob, as its whole body; that needs the right to write. Where the storage can,
        an address ends early with the caller's right to what it opens, and with `revoke_signed_urls`.
        """
        if not isinstance(expires_in_seconds, int) or not 0 < expires_in_seconds <= MAX_SIGNED_SECONDS:
            raise IllegalArgumentError(
                f"expires_in_seconds is from 1 to {MAX_SIGNED_SECONDS} (7 days), not {expires_in_seconds!r}"
            )
        cluster, bucket, key = await self._found(uri)
        if not key:
            raise IllegalArgumentError(f"{str(uri)!r} names a bucket: only a blob can be signed for")
        return await self._api.sign_blob_url(cluster, bucket.id, key, expires_in_seconds, put=put)

    async def revoke_signed_urls(
        self,
        bucket_id_or_name: str,
        cluster_name: str | None = None,
        bucket_owner: str | None = None,
        *,
        org_name: str | None = None,
        project_name: str | None = None,
    ) -> None:
        """End every address that the caller has signed for the bucket, within a second; those that others have signed stay.

        Raises:
            IllegalArgumentError: the bucket is an import, or its storage cannot take an address back.
        """
        cluster = await self._api.cluster(cluster_name)
        scope = Scope(bucket_owner, org_name, project_name)
        await self._api.revoke_signed_urls(cluster, bucket_id_or_name, scope)

    def persistent_credentials_list(self, cluster_name: str | None = None) -> Stream[PersistentBucketCredentials]:
        """The caller's persistent credentials, secrets included, as they arrive."""

        async def found() -> AsyncGenerator[PersistentBucketCredentials, None]:
            async for one in self._api.list_credentials(await self._api.cluster(cluster_name)):
                yield one

        return Stream(found())

    async def persistent_credentials_create(
        self,
        bucket_ids: Iterable[str],
        name: str | None = None,
        read_only: bool | None = False,
        cluster_name: str | None = None,
    ) -> PersistentBucketCredentials:
        """Make credentials for a set of buckets that stay until they are removed, or until their last bucket is.

        Release 23.2 takes `cluster_name` before `read_only`; both orders are understood.

        Raises:
            BucketNotFound: one of the buckets is not there, or not the caller's.
            Conflict: the caller has credentials of that name.
        """
        read_only, cluster_name = _read_only_and_cluster(read_only, cluster_name)
        ids = [] if isinstance(bucket_ids, str) else [*bucket_ids]
        if not ids:
            raise IllegalArgumentError(f"bucket_ids is one or more ids of buckets, not {bucket_ids!r}")
        cluster = await self._api.cluster(cluster_name)
        return await self._api.create_credentials(cluster, ids, name, bool(read_only))

    async def persistent_credentials_get(
        self, credential_id_or_name: str, cluster_name: str | None = None
    ) -> PersistentBucketCredentials:
        """One of the caller's persistent credentials, secrets included.

        Raises:
            ResourceNotFound: there are none of that id or name.
        """
        return await self._api.get_credentials(await self._api.cluster(cluster_name), credential_id_or_name)

    async def persistent_credentials_rm(self, credential_id_or_name: str, cluster_name: str | None = None) -> None:
        """End persistent credentials: they open nothing any more, within a second where the provider can.

        Raises:
            ResourceNotFound: there are none of that id or name.
        """
        await self._api.delete_credentials(await self._api.cluster(cluster_name), credential_id_or_name)


def _read_only_and_cluster(first: object, second: object) -> tuple[bool, str | None]:
    """The two, in whichever order they were given: they differ in type."""
    read_only, cluster = (second, first) if isinstance(first, str) or isinstance(second, bool) else (first, second)
    if not isinstance(read_only, bool | None) or not isinstance(cluster, str | None):
        raise ArgumentTypeError(f"read_only is True or False and cluster_name a str, not {read_only!r} and {cluster!r}")
    return bool(read_only), cluster
