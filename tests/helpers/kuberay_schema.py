"""JSON schemas of RayJob and RayCronJob with the documented fields that the manifests use; any other field is an error.

Written from https://ray-project.github.io/kuberay/reference/api/; pod templates are checked against Kubernetes' own schema.
"""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
SECONDS: dict[str, Any] = {"type": "integer", "minimum": 1}
FLAG: dict[str, Any] = {"type": "boolean"}
OBJECT: dict[str, Any] = {"type": "object"}


def fields(required: list[str], **properties: Any) -> dict[str, Any]:
    """Schema of an object with these fields and no others."""
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = fields(["name"], name={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 36}, labels=TEXTS)
HEAD = fields(
    ["rayStartParams", "template"],
    serviceType={"const": "ClusterIP"},
    enableIngress={"const": False},
    rayStartParams=TEXTS,
    template=OBJECT,
)
WORKERS = fields(
    ["groupName", "rayStartParams", "template"],
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=TEXTS,
    template=OBJECT,
)
AUTOSCALER = fields(
    [],
    version={"enum": ["v1", "v2"]},
    idleTimeoutSeconds=COUNT,
    imagePullPolicy={"enum": ["IfNotPresent", "Always", "Never"]},
    resources=OBJECT,
    securityContext=OBJECT,
    volumeMounts={"type": "array", "items": OBJECT},
    env={"type": "array", "items": OBJECT},
)
CLUSTER = fields(
    ["rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"],
    rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    authOptions=fields(["mode"], mode={"const": "token"}, secretName=TEXT),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=AUTOSCALER,
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "minItems": 1, "items": WORKERS},
)
JOB = fields(
    ["entrypoint", "rayClusterSpec", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "activeDeadlineSeconds"],
    entrypoint=TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "SidecarMode"]},
    shutdownAfterJobFinishes=FLAG,
    ttlSecondsAfterFinished=COUNT,
    activeDeadlineSeconds=SECONDS,
    backoffLimit=COUNT,
    rayClusterSpec=CLUSTER,
)
RAYJOB = fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=METADATA,
    spec=JOB,
)
RAYCRONJOB = fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayCronJob"},
    metadata=METADATA,
    spec=fields(["schedule", "jobTemplate"], schedule=TEXT, suspend=FLAG, jobTemplate=JOB),
)
SCHEMAS = {"RayJob": RAYJOB, "RayCronJob": RAYCRONJOB}


def strict(schema: Any) -> Any:
    """Convert the schema of a CustomResourceDefinition to a JSON schema that rejects unknown fields.

    The API server would drop them, or only warn.
    """
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    converted = {key: strict(value) for key, value in schema.items() if not key.startswith("x-")}
    if "properties" in schema and isinstance(schema["properties"], dict):
        converted["properties"] = {key: strict(value) for key, value in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            converted["additionalProperties"] = False
    return converted
