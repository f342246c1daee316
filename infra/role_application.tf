# The role of the server. Its permissions lie in policies of their own, by what they are for, so that they can be
# attached to another role or user instead.

locals {
  application_service = {
    ec2       = "ec2.amazonaws.com"
    ecs       = "ecs-tasks.amazonaws.com"
    elsewhere = ""
  }[var.application_runs_on]

  make_application_role = var.application_runs_on != "elsewhere"

  application_policies = merge(
    {
      files    = data.aws_iam_policy_document.files.json
      training = data.aws_iam_policy_document.sagemaker_training.json
      hosting  = data.aws_iam_policy_document.sagemaker_hosting.json
      reading  = data.aws_iam_policy_document.reading.json
    },
    var.use_dynamodb ? { tables = data.aws_iam_policy_document.tables[0].json } : {},
  )
}

resource "aws_iam_policy" "application" {
  for_each = local.application_policies

  name        = "${var.name}-${each.key}"
  description = "LLM Tuner's server: ${each.key}"
  policy      = each.value
}

resource "aws_iam_role" "application" {
  count = local.make_application_role ? 1 : 0

  name               = "${var.name}-application"
  description        = "LLM Tuner's server"
  assume_role_policy = data.aws_iam_policy_document.application_trust[0].json
}

data "aws_iam_policy_document" "application_trust" {
  count = local.make_application_role ? 1 : 0

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [local.application_service]
    }
  }
}

resource "aws_iam_role_policy_attachment" "application" {
  for_each = local.make_application_role ? aws_iam_policy.application : {}

  role       = aws_iam_role.application[0].name
  policy_arn = each.value.arn
}

resource "aws_iam_instance_profile" "application" {
  count = var.application_runs_on == "ec2" ? 1 : 0

  name = "${var.name}-application"
  role = aws_iam_role.application[0].name
}
