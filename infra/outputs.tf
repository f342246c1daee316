# What the server has to be told, and what is needed to run it.

output "environment" {
  description = "The server's settings: `terraform output -raw environment > .env` beside it."
  value       = join("", [for name, value in local.environment : "${name}=${value}\n" if value != ""])
}

locals {
  environment = {
    AWS_REGION                   = var.region
    STORAGE_URL                  = "s3://${local.bucket_name}${var.storage_prefix == "" ? "" : "/${var.storage_prefix}"}"
    DATABASE_URL                 = var.use_dynamodb ? "dynamodb://${var.region}/${var.name}" : ""
    SAGEMAKER_EXECUTION_ROLE_ARN = aws_iam_role.training.arn
    SAGEMAKER_INSTALLATION       = var.name
    SAGEMAKER_KMS_KEY_ID         = aws_kms_key.this.arn
    SAGEMAKER_SUBNETS            = join(",", var.subnet_ids)
    SAGEMAKER_SECURITY_GROUPS    = join(",", aws_security_group.training[*].id)
  }
}

output "application_role_arn" {
  description = "The server's role, unless it runs elsewhere: for an ECS task, its task role."
  value       = one(aws_iam_role.application[*].arn)
}

output "application_instance_profile" {
  description = "For an EC2 instance that runs the server."
  value       = one(aws_iam_instance_profile.application[*].name)
}

output "application_policy_arns" {
  description = "What the server may do, by purpose: to attach to a role or user of your own."
  value       = { for purpose, policy in aws_iam_policy.application : purpose => policy.arn }
}

output "image_repository" {
  description = "Where to push an image of our own; SAGEMAKER_TRAINING_IMAGE is this with its tag."
  value       = one(aws_ecr_repository.training[*].repository_url)
}
