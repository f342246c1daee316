# What nobody comes back for. The server itself removes what a job has read when the job is over; a rule here could not,
# since it would have to know every person's folder.

resource "aws_s3_bucket_lifecycle_configuration" "files" {
  bucket = aws_s3_bucket.files.id

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = var.abort_uploads_after_days
    }
  }

  rule {
    id     = "deleted-files"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = max(var.keep_deleted_days, 1)
    }

    # What is left of a file whose versions are all gone.
    expiration {
      expired_object_delete_marker = true
    }
  }

  # Rules about versions need to know whether there are any.
  depends_on = [aws_s3_bucket_versioning.files]
}
