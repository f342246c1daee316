# The server and hosted models: a model, a configuration and an endpoint, which come and go together.

data "aws_iam_policy_document" "sagemaker_hosting" {
  statement {
    sid       = "HostWhatCarriesOurTag"
    actions   = ["sagemaker:CreateModel", "sagemaker:CreateEndpointConfig", "sagemaker:CreateEndpoint"]
    resources = local.hosting

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/llm-tuner:installation"
      values   = [var.name]
    }
  }

  statement {
    sid       = "TagWhatIsNewlyHosted"
    actions   = ["sagemaker:AddTags"]
    resources = local.hosting

    condition {
      test     = "StringEquals"
      variable = "sagemaker:TaggingAction"
      values   = ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    }
  }

  statement {
    sid = "AskAndRemoveWhatCarriesOurTag"
    actions = [
      "sagemaker:DeleteEndpoint",
      "sagemaker:DeleteEndpointConfig",
      "sagemaker:DeleteModel",
      "sagemaker:InvokeEndpoint",
      "sagemaker:InvokeEndpointWithResponseStream",
    ]
    resources = local.hosting

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/llm-tuner:installation"
      values   = [var.name]
    }
  }

  # Without a condition, for the reason that policy_training.tf gives.
  statement {
    sid       = "LookAtWhatIsHosted"
    actions   = ["sagemaker:DescribeEndpoint", "sagemaker:ListTags"]
    resources = ["${local.sagemaker}:endpoint/*"]
  }

  # Which machine an endpoint has: for its price, and for the words where it fails.
  statement {
    sid       = "LookAtConfigurations"
    actions   = ["sagemaker:DescribeEndpointConfig"]
    resources = ["${local.sagemaker}:endpoint-config/*"]
  }

  # Whether there is still something to delete.
  statement {
    sid       = "LookAtModels"
    actions   = ["sagemaker:DescribeModel"]
    resources = ["${local.sagemaker}:model/*"]
  }

  statement {
    sid       = "FindWhatIsHosted"
    actions   = ["sagemaker:ListEndpoints"]
    resources = ["*"]
  }
}

locals {
  hosting = [
    "${local.sagemaker}:model/*",
    "${local.sagemaker}:endpoint-config/*",
    "${local.sagemaker}:endpoint/*",
  ]
}
