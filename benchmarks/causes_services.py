"""Calls of S3, Lambda, RDS, DynamoDB, SQS, KMS, Auto Scaling and CloudWatch."""

from __future__ import annotations

import json

from benchmarks.causes_account import ACCOUNT, OTHER_ACCOUNT, REGION, Json, Resource, policy_text
from benchmarks.causes_records import TAGS, Done, Recorder


class Services(Recorder):
    """Calls of S3, Lambda, RDS, DynamoDB, SQS, KMS, Auto Scaling and CloudWatch."""

    def create_bucket(self, _: Resource | None = None) -> Done:
        name = self.rng.choice(["deploy", "logs", "data"]) + f"-{self.account.hex(6)}"

        def change(by: str | None) -> None:
            self.account.make("AWS::S3::Bucket", name, name, f"arn:aws:s3:::{name}", by, name=name, owner={"id": "abcdef"})

        return (
            "s3",
            "CreateBucket",
            {
                "CreateBucketConfiguration": {"LocationConstraint": REGION},
                "bucketName": name,
                "Host": f"s3.{REGION}.amazonaws.com",
            },
            None,
            change,
        )

    def bucket(self, target: Resource) -> Done:
        host: Json = {"bucketName": target.name, "Host": f"{target.name}.s3.{REGION}.amazonaws.com"}
        kind = self.rng.randrange(6)
        part: tuple[str, ...]
        if kind == 0:
            document = {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": f"arn:aws:iam::{self.rng.choice([ACCOUNT, OTHER_ACCOUNT])}:root"},
                        "Action": self.rng.choice(["s3:GetObject", "s3:*"]),
                        "Resource": f"{target.arn}/*",
                    }
                ],
            }
            part, value = ("supplementaryConfiguration", "BucketPolicy"), {"policyText": json.dumps(document)}
            return (
                "s3",
                "PutBucketPolicy",
                {**host, "bucketPolicy": document, "policy": ""},
                None,
                lambda by: target.set(part, value, by),
            )
        if kind == 1:
            state = self.rng.choice(["Enabled", "Suspended"])
            part = ("supplementaryConfiguration", "BucketVersioningConfiguration")
            return (
                "s3",
                "PutBucketVersioning",
                {
                    **host,
                    "VersioningConfiguration": {"Status": state, "xmlns": "http://s3.amazonaws.com/doc/2006-03-01/"},
                    "versioning": "",
                },
                None,
                lambda by: target.set(part, {"status": state, "isMfaDeleteEnabled": None}, by),
            )
        if kind == 2:
            method = self.rng.choice(["aws:kms", "AES256"])
            rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": method}, "BucketKeyEnabled": True}
            part = ("supplementaryConfiguration", "ServerSideEncryptionConfiguration")
            return (
                "s3",
                "PutBucketEncryption",
                {
                    **host,
                    "ServerSideEncryptionConfiguration": {"Rule": rule, "xmlns": "http://s3.amazonaws.com/doc/2006-03-01/"},
                    "encryption": "",
                },
                None,
                lambda by: target.set(
                    part,
                    {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": method}, "bucketKeyEnabled": True}]},
                    by,
                ),
            )
        if kind == 3:
            on = self.rng.random() < 0.5
            names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
            part = ("supplementaryConfiguration", "PublicAccessBlockConfiguration")
            return (
                "s3",
                "PutBucketPublicAccessBlock",
                {**host, "publicAccessBlock": "", "PublicAccessBlockConfiguration": dict.fromkeys(names, on)},
                None,
                lambda by: target.set(part, {name[:1].lower() + name[1:]: on for name in names}, by),
            )
        if kind == 4:
            key, values = self.rng.choice(TAGS)
            tag = self.rng.choice(values)

            def change(by: str | None) -> None:
                for place in [one for one in target.parts if one[0] == "tags" and one[1] != key]:
                    target.set(place, None, by)
                target.set(("tags", key), tag, by)

            return (
                "s3",
                "PutBucketTagging",
                {
                    **host,
                    "Tagging": {
                        "TagSet": {"Tag": {"Key": key, "Value": tag}},
                        "xmlns": "http://s3.amazonaws.com/doc/2006-03-01/",
                    },
                    "tagging": "",
                },
                None,
                change,
            )
        if self.rng.random() < 0.4:
            return "s3", "DeleteBucket", host, None, lambda by: self.account.end(target, by)
        return (
            "s3",
            "DeleteBucketPolicy",
            {**host, "policy": ""},
            None,
            lambda by: target.set(("supplementaryConfiguration", "BucketPolicy"), None, by),
        )

    def create_function(self, _: Resource | None = None) -> Done:
        name = self.rng.choice(["deploy", "resize", "notify"]) + f"-{self.account.hex(3)}"
        arn, sha = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}", self.account.hex(44)

        def change(by: str | None) -> None:
            self.account.make(
                "AWS::Lambda::Function",
                name,
                name,
                arn,
                by,
                functionName=name,
                functionArn=arn,
                memorySize=128,
                timeout=3,
                codeSha256=sha,
                runtime="python3.13",
            )

        request = {
            "functionName": name,
            "runtime": "python3.13",
            "role": f"arn:aws:iam::{ACCOUNT}:role/lambda",
            "handler": "app.handler",
            "memorySize": 128,
            "timeout": 3,
            "environment": {},
            "code": {},
        }
        return (
            "lambda",
            "CreateFunction20150331",
            request,
            {"functionName": name, "functionArn": arn, "codeSha256": sha, "memorySize": 128, "timeout": 3},
            change,
        )

    def function(self, target: Resource) -> Done:
        who = self.rng.choice([target.name, target.arn])
        modified = ("configuration", "lastModified")
        kind = self.rng.randrange(5)
        if kind == 0:
            sha = self.account.hex(44)

            def code(by: str | None) -> None:
                target.set(("configuration", "codeSha256"), sha, by)
                target.set(modified, str(self.account.now), by)

            return (
                "lambda",
                "UpdateFunctionCode20150331v2",
                {"functionName": who, "dryRun": False, "publish": False},
                {
                    "functionName": target.name,
                    "functionArn": target.arn,
                    "codeSha256": sha,
                    "memorySize": target.get("configuration", "memorySize"),
                    "timeout": target.get("configuration", "timeout"),
                },
                code,
            )
        if kind == 1:
            variables = {"KEY": self.account.hex(6)}

            def environment(by: str | None) -> None:
                target.set(("configuration", "environment"), {"variables": variables}, by)
                target.set(modified, str(self.account.now), by)

            return (
                "lambda",
                "UpdateFunctionConfiguration20150331v2",
                {"functionName": who, "environment": {}},
                {
                    "functionName": target.name,
                    "functionArn": target.arn,
                    "environment": {},
                    "memorySize": target.get("configuration", "memorySize"),
                    "timeout": target.get("configuration", "timeout"),
                },
                environment,
            )
        if kind == 2:
            memory = self.rng.choice([128, 256, 512, 1024])

            def resize(by: str | None) -> None:
                target.set(("configuration", "memorySize"), memory, by)
                target.set(modified, str(self.account.now), by)

            return (
                "lambda",
                "UpdateFunctionConfiguration20150331v2",
                {"functionName": who, "memorySize": memory},
                {
                    "functionName": target.name,
                    "functionArn": target.arn,
                    "memorySize": memory,
                    "environment": {},
                    "timeout": target.get("configuration", "timeout"),
                },
                resize,
            )
        if kind == 3 and self.rng.random() < 0.5:
            return "lambda", "DeleteFunction20150331", {"functionName": who}, None, lambda by: self.account.end(target, by)
        key, values = self.rng.choice(TAGS)
        tag = self.rng.choice(values)
        if target.get("tags", key):
            return (
                "lambda",
                "UntagResource20170331v2",
                {"resource": target.arn, "tagKeys": [key]},
                None,
                lambda by: target.set(("tags", key), None, by),
            )
        return (
            "lambda",
            "TagResource20170331v2",
            {"resource": target.arn, "tags": {key: tag}},
            None,
            lambda by: target.set(("tags", key), tag, by),
        )

    def create_database(self, _: Resource | None = None) -> Done:
        name, identifier = f"orders-{self.account.hex(3)}", f"db-{self.account.hex(26).upper()}"
        arn = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:{name}"

        def change(by: str | None) -> None:
            one = self.account.make(
                "AWS::RDS::DBInstance",
                identifier,
                name,
                arn,
                by,
                dBInstanceIdentifier=name,
                dBInstanceClass="db.t3.medium",
                dBInstanceStatus="creating",
                allocatedStorage=20,
                backupRetentionPeriod=1,
                dbiResourceId=identifier,
            )
            self.account.after(
                self.rng.uniform(120, 500), lambda: one.gone or one.set(("configuration", "dBInstanceStatus"), "available", by)
            )

        return (
            "rds",
            "CreateDBInstance",
            {
                "dBInstanceIdentifier": name,
                "dBInstanceClass": "db.t3.medium",
                "engine": "postgres",
                "allocatedStorage": 20,
                "masterUserPassword": "****",
            },
            {
                "dBInstanceIdentifier": name,
                "dbiResourceId": identifier,
                "dBInstanceArn": arn,
                "dBInstanceStatus": "creating",
                "dBInstanceClass": "db.t3.medium",
            },
            change,
        )

    def database(self, target: Resource) -> Done:
        kind = self.rng.randrange(4)
        now: Json = {
            "dBInstanceIdentifier": target.name,
            "dbiResourceId": target.id,
            "dBInstanceArn": target.arn,
            "dBInstanceStatus": "available",
            "dBInstanceClass": target.get("configuration", "dBInstanceClass"),
        }
        if kind == 0:
            size = self.rng.choice(["db.t3.large", "db.r6g.large", "db.m5.large"])

            def applied(by: str | None) -> None:
                target.set(("configuration", "dBInstanceClass"), size, by)
                target.set(("configuration", "dBInstanceStatus"), "available", by)

            def change(by: str | None) -> None:
                if target.get("configuration", "dBInstanceClass") == size:
                    return
                target.set(("configuration", "dBInstanceStatus"), "modifying", by)
                self.account.after(
                    self.rng.uniform(200, 1_200),
                    lambda: applied(by),
                )

            return (
                "rds",
                "ModifyDBInstance",
                {"dBInstanceIdentifier": target.name, "dBInstanceClass": size, "applyImmediately": True},
                {**now, "pendingModifiedValues": {"dBInstanceClass": size}},
                change,
            )
        if kind == 1:
            days = self.rng.choice([3, 7, 14, 35])
            return (
                "rds",
                "ModifyDBInstance",
                {
                    "dBInstanceIdentifier": target.name.upper() if self.rng.random() < 0.1 else target.name,
                    "backupRetentionPeriod": days,
                    "applyImmediately": True,
                },
                {**now, "backupRetentionPeriod": days},
                lambda by: target.set(("configuration", "backupRetentionPeriod"), days, by),
            )
        if kind == 2 and self.rng.random() < 0.3:

            def gone(by: str | None) -> None:
                target.set(("configuration", "dBInstanceStatus"), "deleting", by)
                self.account.after(self.rng.uniform(60, 600), lambda: self.account.end(target, by))

            return (
                "rds",
                "DeleteDBInstance",
                {"dBInstanceIdentifier": target.name, "skipFinalSnapshot": True},
                {**now, "dBInstanceStatus": "deleting"},
                gone,
            )
        key, values = self.rng.choice(TAGS)
        tag = self.rng.choice(values)
        return (
            "rds",
            "AddTagsToResource",
            {"resourceName": target.arn, "tags": [{"key": key, "value": tag}]},
            None,
            lambda by: target.set(("tags", key), tag, by),
        )

    def table(self, target: Resource) -> Done:
        units = self.rng.choice([5, 10, 20, 40])
        if self.rng.random() < 0.5:
            return (
                "dynamodb",
                "UpdateTable",
                {"tableName": target.name, "provisionedThroughput": {"readCapacityUnits": units, "writeCapacityUnits": 5}},
                {"tableDescription": {"tableName": target.name, "tableArn": target.arn, "tableStatus": "UPDATING"}},
                lambda by: target.set(
                    ("configuration", "provisionedThroughput"), {"readCapacityUnits": units, "writeCapacityUnits": 5}, by
                ),
            )
        key, values = self.rng.choice(TAGS)
        tag = self.rng.choice(values)
        return (
            "dynamodb",
            "TagResource",
            {"resourceArn": target.arn, "tags": [{"key": key, "value": tag}]},
            None,
            lambda by: target.set(("tags", key), tag, by),
        )

    def queue(self, target: Resource) -> Done:
        seconds = self.rng.choice(["30", "60", "120", "900"])
        name = self.rng.choice(["VisibilityTimeout", "DelaySeconds"])
        return (
            "sqs",
            "SetQueueAttributes",
            {"queueUrl": target.id, "attributes": {name: seconds}},
            None,
            lambda by: target.set(("configuration", name), seconds, by),
        )

    def key(self, target: Resource) -> Done:
        who = self.rng.choice([target.id, target.arn])
        on = not target.get("supplementaryConfiguration", "KeyRotationStatus")
        if self.rng.random() < 0.5:
            return (
                "kms",
                "EnableKeyRotation" if on else "DisableKeyRotation",
                {"keyId": who},
                None,
                lambda by: target.set(("supplementaryConfiguration", "KeyRotationStatus"), on, by),
            )
        text = policy_text(
            self.rng.choice(["kms:*", "kms:Decrypt"]), self.rng.choice(["kms:Encrypt", "kms:Sign", "kms:CreateGrant"])
        )
        return (
            "kms",
            "PutKeyPolicy",
            {"keyId": who, "policyName": "default", "policy": text, "bypassPolicyLockoutSafetyCheck": False},
            None,
            lambda by: target.set(("supplementaryConfiguration", "Policy"), text, by),
        )

    def fleet(self, target: Resource) -> Done:
        number = self.rng.randrange(1, 12)
        if self.rng.random() < 0.5:
            return (
                "autoscaling",
                "SetDesiredCapacity",
                {"autoScalingGroupName": target.name, "desiredCapacity": number, "honorCooldown": False},
                None,
                lambda by: target.set(("configuration", "desiredCapacity"), number, by),
            )
        return (
            "autoscaling",
            "UpdateAutoScalingGroup",
            {"autoScalingGroupName": target.name, "maxSize": number + 12},
            None,
            lambda by: target.set(("configuration", "maxSize"), number + 12, by),
        )

    def alarm(self, target: Resource) -> Done:
        threshold = float(self.rng.choice([50, 70, 80, 95]))
        return (
            "monitoring",
            "PutMetricAlarm",
            {
                "alarmName": target.name,
                "threshold": threshold,
                "metricName": "CPUUtilization",
                "namespace": "AWS/EC2",
                "evaluationPeriods": 1,
            },
            None,
            lambda by: target.set(("configuration", "threshold"), threshold, by),
        )
