# The tables of src/store/dynamodb/tables.rs, which `llm-tuner migrate` would make too. All keys are strings.

locals {
  # By the end of its name: partition key, sort key, and whether items with the attribute `expires` end by themselves.
  tables = {
    users     = { hash = "id", range = null, expires = false }
    sessions  = { hash = "id", range = null, expires = true }
    files     = { hash = "file_id", range = null, expires = false }
    uploads   = { hash = "id", range = null, expires = false }
    jobs      = { hash = "job_id", range = null, expires = false }
    events    = { hash = "job_id", range = "entry", expires = false }
    models    = { hash = "id", range = null, expires = false }
    charges   = { hash = "month", range = "id", expires = false }
    endpoints = { hash = "id", range = null, expires = false }
    licences  = { hash = "user_id", range = "licence_of", expires = false }
    audit     = { hash = "log", range = "entry", expires = false }
    index     = { hash = "list", range = "entry", expires = true }
    parts     = { hash = "owner", range = "part", expires = false }
  }
}

resource "aws_dynamodb_table" "this" {
  for_each = var.use_dynamodb ? local.tables : {}

  name                        = "${var.name}-${each.key}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.hash
  range_key                   = each.value.range
  deletion_protection_enabled = true

  dynamic "attribute" {
    for_each = compact([each.value.hash, each.value.range])

    content {
      name = attribute.value
      type = "S"
    }
  }

  dynamic "ttl" {
    for_each = each.value.expires ? ["expires"] : []

    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }

  # Back to any second of the last 35 days.
  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.this.arn
  }
}
