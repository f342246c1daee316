# The server and training jobs.

data "aws_iam_policy_document" "sagemaker_training" {
  statement {
    sid       = "StartJobsThatCarryOurTag"
    actions   = ["sagemaker:CreateTrainingJob"]
    resources = ["${local.sagemaker}:training-job/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/llm-tuner:installation"
      values   = [var.name]
    }
  }

  # Tags are given when a job is made, never to what others made.
  statement {
    sid       = "TagNewJobs"
    actions   = ["sagemaker:AddTags"]
    resources = ["${local.sagemaker}:training-job/*"]

    condition {
      test     = "StringEquals"
      variable = "sagemaker:TaggingAction"
      values   = ["CreateTrainingJob"]
    }
  }

  statement {
    sid       = "EndJobsThatCarryOurTag"
    actions   = ["sagemaker:StopTrainingJob"]
    resources = ["${local.sagemaker}:training-job/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/llm-tuner:installation"
      values   = [var.name]
    }
  }

  # Without a condition: what does not exist has no tags, and "is it there?" must be answered with "no", not with
  # "forbidden". The server asks that after a lost answer.
  statement {
    sid       = "LookAtJobs"
    actions   = ["sagemaker:DescribeTrainingJob", "sagemaker:ListTags"]
    resources = ["${local.sagemaker}:training-job/*"]
  }

  statement {
    sid       = "FindJobs"
    actions   = ["sagemaker:ListTrainingJobs"]
    resources = ["*"]
  }

  statement {
    sid       = "HandOverTheTrainingRole"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.training.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["sagemaker.amazonaws.com"]
    }
  }
}
