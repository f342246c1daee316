# The server and its files: what src/storage/s3 calls, and `llm-tuner doctor` tries.

data "aws_iam_policy_document" "files" {
  statement {
    sid = "Files"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:GetObjectTagging",
      "s3:ListMultipartUploadParts",
      "s3:PutObject",
      "s3:PutObjectTagging",
    ]
    resources = ["${aws_s3_bucket.files.arn}/${local.prefix}*"]
  }

  # Not narrowed to the prefix by s3:prefix: S3 would then say "forbidden" instead of "not found" of a missing file.
  statement {
    sid       = "FindFiles"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.files.arn]
  }

  statement {
    sid       = "UseTheKeyForFiles"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.this.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}
