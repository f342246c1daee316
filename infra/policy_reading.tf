# What the server only reads: who it is, the catalogue of models, logs, quotas and prices.

data "aws_iam_policy_document" "reading" {
  statement {
    sid       = "Catalogue"
    actions   = ["sagemaker:DescribeHubContent"]
    resources = ["${local.public_hub}:hub-content/SageMakerPublicHub/Model/*", "${local.public_hub}:hub/SageMakerPublicHub"]
  }

  statement {
    sid       = "ListCatalogue"
    actions   = ["sagemaker:ListHubContents"]
    resources = ["${local.public_hub}:hub/SageMakerPublicHub"]
  }

  statement {
    sid       = "LogsOfTrainingJobs"
    actions   = ["logs:DescribeLogStreams", "logs:GetLogEvents"]
    resources = [for group in ["TrainingJobs", "TrainingJobs:*"] : "${local.log_groups}:/aws/sagemaker/${group}"]
  }

  statement {
    sid       = "QuotasAndPrices"
    actions   = ["pricing:GetProducts", "servicequotas:ListAWSDefaultServiceQuotas", "servicequotas:ListServiceQuotas"]
    resources = ["*"]
  }

  statement {
    sid       = "WhoAmI"
    actions   = ["sts:GetCallerIdentity"]
    resources = ["*"]
  }
}
