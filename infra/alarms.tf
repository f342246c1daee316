# What is told by e-mail: a training job that failed, an endpoint that runs on and on.

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = toset(var.alarm_emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

data "aws_iam_policy_document" "alarms" {
  # Without a condition: EventBridge says nothing about itself when it publishes, so any condition would refuse it.
  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
  statement {
    sid       = "FailedJobs"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }

  statement {
    sid       = "AlarmsAndBudgetsOfThisAccount"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

    principals {
      type        = "Service"
      identifiers = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_cloudwatch_event_rule" "failed_job" {
  name        = "${var.name}-failed-job"
  description = "A training job of LLM Tuner's failed"

  event_pattern = jsonencode({
    source      = ["aws.sagemaker"]
    detail-type = ["SageMaker Training Job State Change"]
    detail = {
      TrainingJobStatus = ["Failed"]
      RoleArn           = [aws_iam_role.training.arn]
    }
  })
}

resource "aws_cloudwatch_event_target" "failed_job" {
  rule = aws_cloudwatch_event_rule.failed_job.name
  arn  = aws_sns_topic.alarms.arn

  input_transformer {
    input_paths = {
      job    = "$.detail.TrainingJobName"
      reason = "$.detail.FailureReason"
    }
    input_template = "\"The training job <job> failed: <reason>\""
  }
}

# SageMaker counts no hours, but every instance of an endpoint reports its processor each minute it runs. All endpoints
# of the region are watched, since one that is forgotten costs the same whoever made it.
resource "aws_cloudwatch_metric_alarm" "endpoint_hours" {
  alarm_name          = "${var.name}-endpoint-hours"
  alarm_description   = "A SageMaker endpoint in ${var.region} has run for ${var.endpoint_hours} hours on end. If nobody uses it, delete it."
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = var.endpoint_hours
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "reports"
    label       = "Reports of endpoint instances"
    expression  = "SELECT COUNT(CPUUtilization) FROM SCHEMA(\"/aws/sagemaker/Endpoints\", EndpointName, VariantName)"
    period      = 3600
    return_data = true
  }
}
