"""The hub and the price list."""

import json
import pathlib
import tempfile

from .support import FakeTest, client, start_fake

LLAMA = "meta-textgeneration-llama-2-7b"
HUB = {"HubName": "SageMakerPublicHub", "HubContentType": "Model"}


class Catalogue(FakeTest):
    def test_the_hub_lists_its_models_by_page(self):
        first = self.sagemaker.list_hub_contents(**HUB, MaxResults=2)
        second = self.sagemaker.list_hub_contents(**HUB, MaxResults=2, NextToken=first["NextToken"])
        names = [entry["HubContentName"] for page in (first, second) for entry in page["HubContentSummaries"]]
        self.assertEqual(
            names, ["huggingface-llm-falcon-7b-bf16", "huggingface-text2text-flan-t5-base", LLAMA]
        )
        self.assertNotIn("NextToken", second)

    def test_a_document_holds_what_a_training_job_needs(self):
        content = self.sagemaker.describe_hub_content(**HUB, HubContentName=LLAMA)
        document = json.loads(content["HubContentDocument"])
        self.assertIn(".dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-training:", document["TrainingEcrUri"])
        self.assertTrue(document["TrainingScriptUri"].startswith("s3://jumpstart-cache-prod-us-east-1/"))
        defaults = {entry["Name"]: entry["Default"] for entry in document["Hyperparameters"]}
        self.assertEqual((defaults["epoch"], defaults["lora_r"]), (5, 8))
        gated = document["TrainingInstanceTypeVariants"]["Variants"]["g5"]["Properties"]["GatedModelEnvVarUri"]
        self.assertTrue(gated.startswith("s3://jumpstart-private-cache-prod-us-east-1/"))

    def test_documents_of_a_test_and_an_end_with_it(self):
        file = {key: "" for key in ("HubContentDisplayName", "HubContentDescription")}
        file |= {"HubContentVersion": "2.0.0", "HubContentSearchKeywords": [], "HubContentDocument": {"Url": "{region}"}}
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "of-the-test.json").write_text(json.dumps(file))
            process, url = start_fake("--hub", folder)
            content = client("sagemaker", url=url).describe_hub_content(**HUB, HubContentName="of-the-test")
            self.assertEqual(json.loads(content["HubContentDocument"]), {"Url": "us-east-1"})
            process.communicate(timeout=10)
            self.assertEqual(process.returncode, 0)

    def test_a_model_that_is_not_there(self):
        describe = self.sagemaker.describe_hub_content
        self.assertRefused("ResourceNotFound", describe, **HUB, HubContentName="nobody")

    def test_the_price_of_an_hour(self):
        pricing = client("pricing")

        def dollars(usage_type):
            wanted = [{"Type": "TERM_MATCH", "Field": "usagetype", "Value": usage_type}]
            products = pricing.get_products(ServiceCode="AmazonSageMaker", Filters=wanted)["PriceList"]
            terms = [json.loads(product)["terms"]["OnDemand"] for product in products]
            return [
                float(dimension["pricePerUnit"]["USD"])
                for offers in terms
                for term in offers.values()
                for dimension in term["priceDimensions"].values()
            ]

        self.assertEqual(dollars("USE1-Train:ml.g5.2xlarge"), [1.515])
        self.assertEqual(dollars("USE1-Train:ml.g5.large"), [])
