# What SageMaker costs in a month. AWS counts a few times a day, so this tells late, and it stops nothing; the server's
# own budgets refuse a start.

resource "aws_budgets_budget" "sagemaker" {
  count = var.monthly_budget > 0 ? 1 : 0

  name         = "${var.name}-sagemaker"
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  # By service, not by our tag: a tag counts only once somebody activates it in the billing console.
  cost_filter {
    name   = "Service"
    values = ["Amazon SageMaker"]
  }

  dynamic "notification" {
    for_each = { half = ["ACTUAL", 50], most = ["ACTUAL", 80], all = ["ACTUAL", 100], forecast = ["FORECASTED", 100] }

    content {
      comparison_operator       = "GREATER_THAN"
      notification_type         = notification.value[0]
      threshold                 = notification.value[1]
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
    }
  }
}
