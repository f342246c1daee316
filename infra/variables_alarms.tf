# Who is told when something fails or costs.

variable "alarm_emails" {
  description = "Who gets alarms and budget notices. AWS sends each address a link to confirm. Empty: alarms stay in the console."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$", address))])
    error_message = "Each of alarm_emails must be an e-mail address."
  }

  validation {
    condition     = length(var.alarm_emails) <= 10
    error_message = "AWS Budgets takes at most 10 addresses: use a mailing list."
  }
}

variable "monthly_budget" {
  description = "What SageMaker may cost in this account in a month, in USD, before AWS writes to alarm_emails (at 50 %, 80 % and 100 %, and when the forecast says so). It stops nothing. 0: no budget."
  type        = number
  default     = 100

  validation {
    condition     = var.monthly_budget >= 0
    error_message = "monthly_budget must be 0 or more."
  }
}

variable "endpoint_hours" {
  description = "Tell when any endpoint in this region has run for so many hours on end. The server removes idle ones by itself; this is for when the server is gone."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 2, 3], var.endpoint_hours)
    error_message = "endpoint_hours must be 1, 2 or 3: CloudWatch looks back three hours."
  }
}
