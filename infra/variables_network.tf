# Training in a network of your own. All empty: SageMaker's network, which is the default.

variable "vpc_id" {
  description = "The VPC in which training jobs run. Empty: none of yours."
  type        = string
  default     = ""

  validation {
    condition     = var.vpc_id == "" || can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id must be like vpc-0123456789abcdef0."
  }
}

variable "subnet_ids" {
  description = "Private subnets of that VPC, best one for each zone: GPU types are not to be had in all of them."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "Each of subnet_ids must be like subnet-0123456789abcdef0."
  }

  validation {
    condition     = (var.vpc_id == "") == (length(var.subnet_ids) == 0)
    error_message = "vpc_id and subnet_ids are set together, or not at all."
  }
}

variable "route_table_ids" {
  description = "The subnets' route tables: they get a free gateway endpoint, so that files in S3 don't leave AWS's network. Empty: you have one, or a NAT gateway."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.route_table_ids : can(regex("^rtb-[0-9a-f]+$", id))])
    error_message = "Each of route_table_ids must be like rtb-0123456789abcdef0."
  }

  validation {
    condition     = length(var.route_table_ids) == 0 || var.vpc_id != ""
    error_message = "route_table_ids need vpc_id."
  }
}

variable "allow_internet" {
  description = "Let training jobs in the VPC reach the internet on port 443 (through your NAT gateway): the Hugging Face route installs packages, and may fetch models."
  type        = bool
  default     = true
}
