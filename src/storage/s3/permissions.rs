//! Tries what the adapter must be allowed to do, one permission after the other, on objects of its own.

use super::{CHECKSUM, S3Storage};
use crate::aws::{Failure, Tried};
use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    types::{Tag, Tagging},
};
use bytes::Bytes;

impl S3Storage {
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The region that the bucket is in, where S3 tells it.
    pub async fn bucket_region(&self) -> Option<String> {
        let head = self.client.head_bucket().bucket(&self.bucket).send().await;
        head.ok().and_then(|head| head.bucket_region)
    }

    /// What was tried, in order. Without an answer the rest is not tried. Leaves nothing behind that it may delete.
    pub async fn try_permissions(&self) -> Vec<Tried> {
        let mut tried = Vec::new();
        let name = format!("{}.doctor", self.prefix);
        let (client, bucket) = (&self.client, &self.bucket);
        let object = |bytes| Bytes::from_static(bytes).into();
        let mut note = |permission, purpose, outcome: Result<(), Failure>| {
            let silent = matches!(outcome, Err(Failure::NoAnswer(_)));
            tried.push(Tried { permission, purpose, outcome });
            silent
        };
        let list = client.list_objects_v2().bucket(bucket).prefix(&name).max_keys(1).send().await;
        if note(
            "s3:ListBucket",
            "finds a folder's files, and tells \"not found\" from \"forbidden\"",
            outcome(list),
        ) {
            return tried;
        }
        let put = client.put_object().bucket(bucket).key(&name).body(object(b"doctor")).send().await;
        note("s3:PutObject", "uploads, models, what jobs read", outcome(put));
        let get = client.get_object().bucket(bucket).key(&name).send().await;
        note("s3:GetObject", "downloads, what jobs left", outcome(get));
        if let Ok(tag) = Tag::builder().key(CHECKSUM).value("doctor").build()
            && let Ok(tags) = Tagging::builder().tag_set(tag).build()
        {
            let put = client.put_object_tagging().bucket(bucket).key(&name).tagging(tags).send().await;
            note("s3:PutObjectTagging", "each file's SHA-256 is its tag", outcome(put));
        }
        let get = client.get_object_tagging().bucket(bucket).key(&name).send().await;
        note("s3:GetObjectTagging", "reads a file's SHA-256", outcome(get));
        let list = client.list_multipart_uploads().bucket(bucket).prefix(&name).send().await;
        note("s3:ListBucketMultipartUploads", "finds unfinished uploads", outcome(list));
        if let Ok(upload) = client.create_multipart_upload().bucket(bucket).key(&name).send().await {
            let id = upload.upload_id.unwrap_or_default();
            let list = client.list_parts().bucket(bucket).key(&name).upload_id(&id).send().await;
            note("s3:ListMultipartUploadParts", "uploads that go on after a lost connection", outcome(list));
            let abort = client.abort_multipart_upload().bucket(bucket).key(&name).upload_id(&id).send().await;
            note("s3:AbortMultipartUpload", "clears unfinished uploads away", outcome(abort));
        }
        let delete = client.delete_object().bucket(bucket).key(&name).send().await;
        note("s3:DeleteObject", "deleting data and models", outcome(delete));
        tried
    }
}

fn outcome<T, E, R>(result: Result<T, SdkError<E, R>>) -> Result<(), Failure>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    result.map(|_| ()).map_err(|error| Failure::of(&error))
}
