# Names that more than one file needs.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  bucket_name = var.bucket_name != "" ? var.bucket_name : "${var.name}-${local.account}-${var.region}"
  # As the server writes it in front of every key: empty, or with a slash at its end.
  prefix = var.storage_prefix == "" ? "" : "${var.storage_prefix}/"

  sagemaker = "arn:${local.partition}:sagemaker:${var.region}:${local.account}"
  # AWS's own catalogue belongs to no account.
  public_hub = "arn:${local.partition}:sagemaker:${var.region}:aws"
  log_groups = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group"

  use_vpc = var.vpc_id != ""
}
