# The role that training jobs and hosted models have: SageMaker's side. The server only hands it over.

resource "aws_iam_role" "training" {
  name               = "${var.name}-training"
  description        = "What SageMaker may do for LLM Tuner's training jobs and hosted models"
  assume_role_policy = data.aws_iam_policy_document.training_trust.json
}

data "aws_iam_policy_document" "training_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["sagemaker.amazonaws.com"]
    }

    # Not on behalf of somebody else's account.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role_policy" "training" {
  name   = "training"
  role   = aws_iam_role.training.id
  policy = data.aws_iam_policy_document.training.json
}

data "aws_iam_policy_document" "training" {
  statement {
    sid       = "ReadDataModelsAndCheckpoints"
    actions   = ["s3:GetObject"]
    resources = [for folder in local.training_reads : "${aws_s3_bucket.files.arn}/${local.prefix}users/*/${folder}/*"]
  }

  statement {
    sid       = "WriteModelsAndCheckpoints"
    actions   = ["s3:AbortMultipartUpload", "s3:PutObject"]
    resources = [for folder in local.training_writes : "${aws_s3_bucket.files.arn}/${local.prefix}users/*/${folder}/*"]
  }

  statement {
    sid       = "FindFiles"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.files.arn]
  }

  statement {
    sid       = "ReadJumpStartModelsAndScripts"
    actions   = ["s3:GetObject"]
    resources = [for bucket in local.jumpstart_buckets : "${bucket}/*"]
  }

  statement {
    sid       = "FindJumpStartModelsAndScripts"
    actions   = ["s3:ListBucket"]
    resources = local.jumpstart_buckets
  }

  statement {
    sid       = "UseTheKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
    resources = [aws_kms_key.this.arn]
  }

  # For the volumes of training instances, which are attached by another part of AWS.
  statement {
    sid       = "LendTheKeyToVolumes"
    actions   = ["kms:CreateGrant"]
    resources = [aws_kms_key.this.arn]

    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
  }

  statement {
    sid     = "PullContainers"
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = concat(
      ["arn:${local.partition}:ecr:${var.region}:${var.container_registry_account}:repository/*"],
      aws_ecr_repository.training[*].arn,
    )
  }

  statement {
    sid       = "LogInToRegistries"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${local.log_groups}:/aws/sagemaker/*"]
  }

  statement {
    sid       = "WriteMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringLike"
      variable = "cloudwatch:namespace"
      values   = ["/aws/sagemaker/*"]
    }
  }
}

locals {
  # The folders of src/backends/sagemaker/names.rs in each person's folder. Uploads themselves are none of them.
  training_reads  = ["checkpoints", "models", "training-data"]
  training_writes = ["checkpoints", "models"]

  # AWS's own: open models and training scripts, and the weights of models with a licence to accept.
  jumpstart_buckets = [
    "arn:${local.partition}:s3:::jumpstart-cache-prod-${var.region}",
    "arn:${local.partition}:s3:::jumpstart-private-cache-prod-${var.region}",
  ]
}
