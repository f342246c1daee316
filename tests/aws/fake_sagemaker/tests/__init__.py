"""The fake, met as the application meets it: by an SDK over HTTP.

In tests/aws: `python -m unittest discover -t . -s fake_sagemaker/tests`.
"""
