# What the training role needs besides, where jobs run in a VPC: SageMaker puts network interfaces into its subnets.

resource "aws_iam_role_policy" "training_network" {
  count = local.use_vpc ? 1 : 0

  name   = "network"
  role   = aws_iam_role.training.id
  policy = data.aws_iam_policy_document.training_network[0].json
}

data "aws_iam_policy_document" "training_network" {
  count = local.use_vpc ? 1 : 0

  statement {
    sid     = "PutInterfacesIntoOurSubnets"
    actions = ["ec2:CreateNetworkInterface"]
    resources = concat(
      [for id in var.subnet_ids : "${local.network}:subnet/${id}"],
      ["${local.network}:security-group/${aws_security_group.training[0].id}", "${local.network}:network-interface/*"],
    )
  }

  statement {
    sid       = "TakeInterfacesOfOurSubnetsAway"
    actions   = ["ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"]
    resources = ["${local.network}:network-interface/*"]

    condition {
      test     = "ArnEquals"
      variable = "ec2:Subnet"
      values   = [for id in var.subnet_ids : "${local.network}:subnet/${id}"]
    }
  }

  statement {
    sid = "LookAtTheNetwork"
    actions = [
      "ec2:DescribeDhcpOptions",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets",
      "ec2:DescribeVpcs",
    ]
    resources = ["*"]
  }
}

locals {
  network = "arn:${local.partition}:ec2:${var.region}:${local.account}"
}
