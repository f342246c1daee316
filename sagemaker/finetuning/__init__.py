"""Fine-tuning on a machine of SageMaker, with the settings, the data and the lines of LLM Tuner's own engine.

errors       why a job failed, in words
settings     hyperparameters: names, defaults, bounds
rows         training data: one JSON object a line
template     how a row becomes text, and which parts of it are learned
tokens       rows as sequences of tokens with targets
models       the base model, its adapter, and the result
checkpoints  what is whole and what is not
report       what the job prints
training     the loop
surroundings where things lie in the container
"""
