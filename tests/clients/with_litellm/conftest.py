"""LiteLLM's own price list comes with it: it is not to be fetched."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
