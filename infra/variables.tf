# What differs from one installation to the next. `region` is the only one without a default.

variable "region" {
  description = "Where everything is made, as in \"us-east-1\". It needs the GPU types you want: see docs/AWS_SETUP.md."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must be a name like us-east-1 or eu-central-1."
  }
}

variable "name" {
  description = "The installation's name: the beginning of every name below, and the value of the tag llm-tuner:installation. Two installations in one account need two names."
  type        = string
  default     = "llm-tuner"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,28}[a-z0-9]$", var.name))
    error_message = "The name must be 3 to 30 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen."
  }
}

variable "tags" {
  description = "Tags of your own, on everything that can carry tags."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "aws:") && !startswith(key, "llm-tuner:")])
    error_message = "Tags that begin with aws: or llm-tuner: are set by others."
  }
}

variable "bucket_name" {
  description = "The bucket's name, unique in all of AWS. Empty: NAME-ACCOUNT-REGION."
  type        = string
  default     = ""

  validation {
    condition     = var.bucket_name == "" || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "The bucket's name must be 3 to 63 lower-case letters, digits and hyphens (dots break TLS)."
  }
}

variable "storage_prefix" {
  description = "Where in the bucket the files lie, without slashes at the ends. Empty: at its root."
  type        = string
  default     = "tuner"

  validation {
    condition     = can(regex("^([a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)*)?$", var.storage_prefix))
    error_message = "The prefix must be letters, digits, dots, hyphens and underscores, with single slashes between its parts."
  }
}

variable "keep_deleted_days" {
  description = "For so many days a deleted or replaced file can be brought back by whoever administers the bucket. 0: deleted is deleted."
  type        = number
  default     = 7

  validation {
    condition     = var.keep_deleted_days >= 0 && var.keep_deleted_days <= 365 && floor(var.keep_deleted_days) == var.keep_deleted_days
    error_message = "keep_deleted_days must be a whole number from 0 to 365."
  }
}

variable "abort_uploads_after_days" {
  description = "Unfinished multipart uploads go this long after their beginning. The server gives its own up a day after their last piece; this catches what a killed server leaves."
  type        = number
  default     = 2

  validation {
    condition     = var.abort_uploads_after_days >= 2 && var.abort_uploads_after_days <= 30 && floor(var.abort_uploads_after_days) == var.abort_uploads_after_days
    error_message = "abort_uploads_after_days must be a whole number from 2 to 30: resumable uploads live a day."
  }
}

variable "use_dynamodb" {
  description = "Make the DynamoDB tables, and keep the metadata there instead of in SQLite or PostgreSQL."
  type        = bool
  default     = false
}

variable "application_runs_on" {
  description = "What runs the server: \"ec2\" and \"ecs\" make a role for it; with \"elsewhere\" you attach the policies (output application_policy_arns) to a role or user of your own."
  type        = string
  default     = "ec2"

  validation {
    condition     = contains(["ec2", "ecs", "elsewhere"], var.application_runs_on)
    error_message = "application_runs_on must be ec2, ecs or elsewhere."
  }
}

variable "container_registry_account" {
  description = "The account from which AWS hands out its training and hosting containers. It is another one in a few regions: see docs/AWS_SETUP.md."
  type        = string
  default     = "763104351884"

  validation {
    condition     = can(regex("^[0-9]{12}$", var.container_registry_account))
    error_message = "An account number has 12 digits."
  }
}

variable "make_image_repository" {
  description = "Make an ECR repository for an image of our own, which trains with the embedded engine."
  type        = bool
  default     = false
}
