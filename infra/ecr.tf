# A place for an image of our own, which trains with the embedded engine. SageMaker pulls only from ECR.

resource "aws_ecr_repository" "training" {
  count = var.make_image_repository ? 1 : 0

  name = var.name
  # What a job ran with yesterday is what the same tag means today.
  image_tag_mutability = "IMMUTABLE"

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.this.arn
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "training" {
  count = var.make_image_repository ? 1 : 0

  repository = aws_ecr_repository.training[0].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The ten newest images"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}
