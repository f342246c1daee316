# The server and its tables.

data "aws_iam_policy_document" "tables" {
  count = var.use_dynamodb ? 1 : 0

  statement {
    sid = "ReadAndWriteRows"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:BatchWriteItem",
      "dynamodb:ConditionCheckItem",
      "dynamodb:DeleteItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
      "dynamodb:UpdateItem",
    ]
    resources = [for name, table in aws_dynamodb_table.this : table.arn if name != "audit"]
  }

  # Only of what does not stay long: sessions and unfinished uploads that have run out.
  statement {
    sid       = "LookThroughWhatRunsOut"
    actions   = ["dynamodb:Scan"]
    resources = [for name, table in aws_dynamodb_table.this : table.arn if contains(["sessions", "uploads"], name)]
  }

  # What is in the audit log can't be taken out of it, nor changed but by somebody who knows the exact key.
  statement {
    sid       = "ReadAndContinueTheAuditLog"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
    resources = [for name, table in aws_dynamodb_table.this : table.arn if name == "audit"]
  }

  statement {
    sid = "UseTheKeyForTables"
    actions = [
      "kms:CreateGrant",
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
      "kms:GenerateDataKey",
      "kms:ReEncryptFrom",
      "kms:ReEncryptTo",
    ]
    resources = [aws_kms_key.this.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["dynamodb.${var.region}.amazonaws.com"]
    }
  }
}
