//! Tries what the adapter must be allowed to do, one permission after the other, on objects of its own.

use super::{CHECKSUM, S3Storage};
use crate::aws::Failure;
use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    types::{Tag, Tagging},
};
use bytes::Bytes;

/// A permission, and whether it is there.
#[derive(Debug)]
pub struct Tried {
    /// As a policy names it.
    pub permission: &'static str,
    pub outcome: Result<(), Failure>,
}

impl S3Storage {
    /// What was tried, in order. Without an answer the rest is not tried. Leaves nothing behind that it may delete.
    pub async fn try_permissions(&self) -> Vec<Tried> {
        let mut tried = Vec::new();
        let name = format!("{}.doctor", self.prefix);
        let (client, bucket) = (&self.client, &self.bucket);
        let object = |bytes| Bytes::from_static(bytes).into();
        let mut note = |permission, outcome: Result<(), Failure>| {
            let silent = matches!(outcome, Err(Failure::NoAnswer(_)));
            tried.push(Tried { permission, outcome });
            silent
        };
        let list = client.list_objects_v2().bucket(bucket).prefix(&name).max_keys(1).send().await;
        if note("s3:ListBucket", outcome(list)) {
            return tried;
        }
        let put = client.put_object().bucket(bucket).key(&name).body(object(b"doctor")).send().await;
        note("s3:PutObject", outcome(put));
        let get = client.get_object().bucket(bucket).key(&name).send().await;
        note("s3:GetObject", outcome(get));
        if let Ok(tag) = Tag::builder().key(CHECKSUM).value("doctor").build()
            && let Ok(tags) = Tagging::builder().tag_set(tag).build()
        {
            let put = client.put_object_tagging().bucket(bucket).key(&name).tagging(tags).send().await;
            note("s3:PutObjectTagging", outcome(put));
        }
        let get = client.get_object_tagging().bucket(bucket).key(&name).send().await;
        note("s3:GetObjectTagging", outcome(get));
        let list = client.list_multipart_uploads().bucket(bucket).prefix(&name).send().await;
        note("s3:ListBucketMultipartUploads", outcome(list));
        if let Ok(upload) = client.create_multipart_upload().bucket(bucket).key(&name).send().await {
            let id = upload.upload_id.unwrap_or_default();
            let list = client.list_parts().bucket(bucket).key(&name).upload_id(&id).send().await;
            note("s3:ListMultipartUploadParts", outcome(list));
            let abort = client.abort_multipart_upload().bucket(bucket).key(&name).upload_id(&id).send().await;
            note("s3:AbortMultipartUpload", outcome(abort));
        }
        let delete = client.delete_object().bucket(bucket).key(&name).send().await;
        note("s3:DeleteObject", outcome(delete));
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
