"""Requests and answers against botocore's service model: members, types, enums, patterns, lengths.

Stricter than AWS in one thing: a member that the model does not know is refused, not ignored.
"""

import functools
import re

import botocore.loaders
import botocore.model

from .errors import invalid

MODELS = {"SageMaker": "sagemaker", "ServiceQuotasV20190624": "service-quotas", "AWSPriceListService": "pricing"}
# Required by the model, and yet left out as long as a job runs.
LEFT_OUT = {"Value null at 'modelArtifacts' failed to satisfy constraint: Member must not be null"}
NUMBERS = {"integer", "long", "float", "double"}


@functools.cache
def service(target):
    """The service model of an `X-Amz-Target` prefix; None for a service that is not ours."""
    if target not in MODELS:
        return None
    name = MODELS[target]
    return botocore.model.ServiceModel(botocore.loaders.create_loader().load_service_model(name, "service-2"), name)


def enum_of(shape_name):
    return service("SageMaker").shape_for(shape_name).enum


def check_request(operation, request):
    problems = list(_problems(operation.input_shape, request, ""))
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise invalid(f"{count}: {'; '.join(problems)}")


def check_answer(operation, answer):
    """An answer that the service could not have given is a defect of this fake."""
    if operation.output_shape is None:
        return
    problems = [problem for problem in _problems(operation.output_shape, answer, "") if problem not in LEFT_OUT]
    if problems:
        raise AssertionError(f"answer to {operation.name} is wrong: {'; '.join(problems)}")


def _problems(shape, value, path):
    if not _has_type(shape, value):
        yield _problem(value, path, f"Member must be of type {shape.type_name}")
        return
    yield from _own_problems(shape, value, path)
    if shape.type_name == "structure":
        yield from _structure(shape, value, path)
    elif shape.type_name == "list":
        for number, item in enumerate(value, start=1):
            yield from _problems(shape.member, item, f"{path}.{number}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            if any(_own_problems(shape.key, key, path)):
                yield _problem(value, path, f"Map keys must satisfy constraint: [{_constraints(shape.key, key)}]")
            if shape.value.type_name in ("structure", "list", "map"):
                yield from _problems(shape.value, item, f"{path}.{key}.member")
            elif not _has_type(shape.value, item) or any(_own_problems(shape.value, item, path)):
                yield _problem(value, path, f"Map value must satisfy constraint: [{_constraints(shape.value, item)}]")


def _structure(shape, value, path):
    for name in shape.required_members:
        if value.get(name) is None:
            yield _problem(None, _below(path, name), "Member must not be null")
    for name, member in value.items():
        if name not in shape.members:
            yield _problem(member, _below(path, name), "Member is not known")
        elif member is not None:
            yield from _problems(shape.members[name], member, _below(path, name))


def _own_problems(shape, value, path):
    """What a value breaks by itself, without its members."""
    for constraint in _broken(shape, value):
        yield _problem(value, path, constraint)


def _constraints(shape, value):
    return ", ".join(_broken(shape, value)) or f"Member must be of type {shape.type_name}"


def _broken(shape, value):
    limits = shape.metadata
    if isinstance(value, (str, list, dict)) and shape.type_name != "structure":
        if len(value) > limits.get("max", len(value)):
            yield f"Member must have length less than or equal to {limits['max']}"
        if len(value) < limits.get("min", 0):
            yield f"Member must have length greater than or equal to {limits['min']}"
    if shape.type_name in NUMBERS:
        if value > limits.get("max", value):
            yield f"Member must have value less than or equal to {limits['max']}"
        if value < limits.get("min", value):
            yield f"Member must have value greater than or equal to {limits['min']}"
    if getattr(shape, "enum", None) and value not in shape.enum:
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    if "pattern" in limits and isinstance(value, str) and not _pattern(limits["pattern"]).fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {limits['pattern']}"


def _has_type(shape, value):
    kind = shape.type_name
    if kind == "structure" or kind == "map":
        return isinstance(value, dict)
    if kind == "list":
        return isinstance(value, list)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "long"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in ("float", "double", "timestamp"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, str)


@functools.cache
def _pattern(pattern):
    """The models are written for Java, which has classes that Python lacks."""
    for java, python in ((r"\p{L}", "a-zA-Z\u00c0-\uffff"), (r"\p{Z}", r"\s"), (r"\p{N}", r"\d"), (r"\p{M}", "")):
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _below(path, name):
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _problem(value, path, constraint):
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"
