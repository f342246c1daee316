# What this is written for. Terraform 1.9 is the first whose variable checks may look at other variables.
terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

# Credentials come from where every AWS tool looks for them. Every resource that can carry tags carries these.
provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, {
      "llm-tuner:installation" = var.name
      "llm-tuner:made-by"      = "terraform"
    })
  }
}
