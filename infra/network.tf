# Training in a network of your own: who its jobs may reach. Nobody reaches them but each other.

resource "aws_security_group" "training" {
  count = local.use_vpc ? 1 : 0

  name        = "${var.name}-training"
  description = "LLM Tuner training jobs"
  vpc_id      = var.vpc_id
}

# Jobs on more than one instance talk to each other.
resource "aws_vpc_security_group_ingress_rule" "each_other" {
  count = local.use_vpc ? 1 : 0

  security_group_id            = aws_security_group.training[0].id
  referenced_security_group_id = aws_security_group.training[0].id
  ip_protocol                  = "-1"
  description                  = "Training instances of one job"
}

resource "aws_vpc_security_group_egress_rule" "each_other" {
  count = local.use_vpc ? 1 : 0

  security_group_id            = aws_security_group.training[0].id
  referenced_security_group_id = aws_security_group.training[0].id
  ip_protocol                  = "-1"
  description                  = "Training instances of one job"
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  count = local.use_vpc ? 1 : 0

  security_group_id = aws_security_group.training[0].id
  prefix_list_id    = data.aws_prefix_list.s3[0].id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "Files in S3"
}

resource "aws_vpc_security_group_egress_rule" "internet" {
  count = local.use_vpc && var.allow_internet ? 1 : 0

  security_group_id = aws_security_group.training[0].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "Python packages and models"
}

data "aws_prefix_list" "s3" {
  count = local.use_vpc ? 1 : 0
  name  = "com.amazonaws.${var.region}.s3"
}

resource "aws_vpc_endpoint" "s3" {
  count = length(var.route_table_ids) > 0 ? 1 : 0

  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
}
