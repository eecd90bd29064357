"""The entrypoint of AWS's PyTorch inference image, run by the Python of `.venv-container`.

It calls the image's SAGEMAKER_SERVING_MODULE. One path differs: the toolkit writes TorchServe's configuration
to /etc, which a test must not change.

    python serving_stack_entrypoint.py CONFIGURATION_FILE
"""

import sys

from sagemaker_pytorch_serving_container import serving, torchserve

torchserve.TS_CONFIG_FILE = sys.argv[1]
serving.main()
