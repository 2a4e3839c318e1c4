"""Calls of IAM, which uses names where AWS Config has ids."""

from __future__ import annotations

from urllib.parse import quote

from benchmarks.causes_account import ACCOUNT, Resource, policy_text
from benchmarks.causes_records import MANAGED, TAGS, TRUST, Done, Recorder


class Iam(Recorder):
    """Calls of IAM, which uses names where AWS Config has ids."""

    def create_role(self, _: Resource | None = None) -> Done:
        name, identifier = (
            self.rng.choice(["deploy", "build", "reader"]) + f"-{self.account.hex(3)}",
            f"AROA{self.account.hex(17).upper()}",
        )
        arn, trust = f"arn:aws:iam::{ACCOUNT}:role/{name}", TRUST % self.rng.choice(["ec2", "lambda"])

        def change(by: str | None) -> None:
            self.account.make(
                "AWS::IAM::Role",
                identifier,
                name,
                arn,
                by,
                roleName=name,
                roleId=identifier,
                arn=arn,
                assumeRolePolicyDocument=quote(trust),
            )

        role = {
            "roleName": name,
            "roleId": identifier,
            "arn": arn,
            "path": "/",
            "createDate": "Nov 3, 2025 8:00:00 AM",
            "assumeRolePolicyDocument": quote(trust),
        }
        return "iam", "CreateRole", {"roleName": name, "assumeRolePolicyDocument": trust, "path": "/"}, {"role": role}, change

    def role_policy(self, target: Resource) -> Done:
        name = self.rng.choice(MANAGED)
        arn = f"arn:aws:iam::aws:policy/{name}"
        held = target.get("configuration", "attachedManagedPolicies", name)
        request = {"roleName": target.name, "policyArn": arn}
        return (
            "iam",
            "DetachRolePolicy" if held else "AttachRolePolicy",
            request,
            None,
            lambda by: target.set(("configuration", "attachedManagedPolicies", name), None if held else arn, by),
        )

    def own_policy(self, target: Resource) -> Done:
        own = self.account.alive("AWS::IAM::Policy")
        if not own:
            return self.role_policy(target)
        other = self.rng.choice(own)
        held = target.get("configuration", "attachedManagedPolicies", other.name)

        def change(by: str | None) -> None:
            target.set(("configuration", "attachedManagedPolicies", other.name), None if held else other.arn, by)
            target.relate(other, "Is attached to CustomerManagedPolicy", by, end=bool(held))
            other.set(
                ("configuration", "attachmentCount"),
                (other.get("configuration", "attachmentCount") or 0) + (-1 if held else 1),
                by,
            )

        return (
            "iam",
            "DetachRolePolicy" if held else "AttachRolePolicy",
            {"roleName": target.name, "policyArn": other.arn},
            None,
            change,
        )

    def inline_policy(self, target: Resource) -> Done:
        text = policy_text(
            self.rng.choice(["s3:GetObject", "ec2:*", "logs:PutLogEvents"]), self.rng.choice(["sqs:SendMessage", "kms:Decrypt"])
        )
        request = {"roleName": target.name, "policyName": "inline", "policyDocument": text}
        return (
            "iam",
            "PutRolePolicy",
            request,
            None,
            lambda by: target.set(
                ("configuration", "rolePolicyList"), [{"policyName": "inline", "policyDocument": quote(text)}], by
            ),
        )

    def role_trust(self, target: Resource) -> Done:
        trust = TRUST % self.rng.choice(["ec2", "lambda", "ecs-tasks"])
        request = {"roleName": target.name, "policyDocument": trust}
        return (
            "iam",
            "UpdateAssumeRolePolicy",
            request,
            None,
            lambda by: target.set(("configuration", "assumeRolePolicyDocument"), quote(trust), by),
        )

    def tag_role(self, target: Resource) -> Done:
        key, values = self.rng.choice(TAGS)
        value = self.rng.choice(values)
        if target.get("tags", key) == value:
            return (
                "iam",
                "UntagRole",
                {"roleName": target.name, "tagKeys": [key]},
                None,
                lambda by: target.set(("tags", key), None, by),
            )
        return (
            "iam",
            "TagRole",
            {"roleName": target.name, "tags": [{"key": key, "value": value}]},
            None,
            lambda by: target.set(("tags", key), value, by),
        )

    def delete_role(self, target: Resource) -> Done:
        if self.rng.random() < 0.7 or target.related("AWS::IAM::Policy"):
            return self.tag_role(target)
        return "iam", "DeleteRole", {"roleName": target.name}, None, lambda by: self.account.end(target, by)

    def create_user(self, _: Resource | None = None) -> Done:
        name, identifier = (
            self.rng.choice(["deploy", "ana", "ben"]) + f"-{self.account.hex(3)}",
            f"AIDA{self.account.hex(17).upper()}",
        )
        arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"

        def change(by: str | None) -> None:
            self.account.make("AWS::IAM::User", identifier, name, arn, by, userName=name, userId=identifier, arn=arn)

        return (
            "iam",
            "CreateUser",
            {"userName": name},
            {"user": {"userName": name, "userId": identifier, "arn": arn, "path": "/", "createDate": "Nov 3, 2025 8:00:00 AM"}},
            change,
        )

    def user_policy(self, target: Resource) -> Done:
        name = self.rng.choice(MANAGED)
        held = target.get("configuration", "attachedManagedPolicies", name)
        arn = f"arn:aws:iam::aws:policy/{name}"
        return (
            "iam",
            "DetachUserPolicy" if held else "AttachUserPolicy",
            {"userName": target.name, "policyArn": arn},
            None,
            lambda by: target.set(("configuration", "attachedManagedPolicies", name), None if held else arn, by),
        )

    def user_group(self, target: Resource) -> Done:
        group = self.rng.choice(["admins", "developers"])
        place = ("configuration", "groupList", group)
        held = place in target.parts
        return (
            "iam",
            "RemoveUserFromGroup" if held else "AddUserToGroup",
            {"groupName": group, "userName": target.name},
            None,
            lambda by: target.set(place, None if held else True, by),
        )

    def delete_user(self, target: Resource) -> Done:
        if self.rng.random() < 0.6:
            return self.user_group(target)
        return "iam", "DeleteUser", {"userName": target.name}, None, lambda by: self.account.end(target, by)

    def create_policy(self, _: Resource | None = None) -> Done:
        name, identifier, text = (
            f"team-{self.account.hex(3)}",
            f"ANPA{self.account.hex(17).upper()}",
            policy_text("s3:*", "sns:Publish"),
        )
        arn = f"arn:aws:iam::{ACCOUNT}:policy/{name}"

        def change(by: str | None) -> None:
            self.account.make(
                "AWS::IAM::Policy",
                identifier,
                name,
                arn,
                by,
                policyName=name,
                policyId=identifier,
                attachmentCount=0,
                defaultVersionId="v1",
                document=quote(text),
            )

        return (
            "iam",
            "CreatePolicy",
            {"policyName": name, "policyDocument": text},
            {"policy": {"policyName": name, "policyId": identifier, "arn": arn, "defaultVersionId": "v1", "attachmentCount": 0}},
            change,
        )

    def policy_version(self, target: Resource) -> Done:
        text = policy_text(
            self.rng.choice(["s3:GetObject", "ec2:*", "logs:*"]), self.rng.choice(["sqs:*", "kms:Decrypt", "iam:PassRole"])
        )
        version = f"v{int(target.get('configuration', 'defaultVersionId')[1:]) + 1}"

        def change(by: str | None) -> None:
            target.set(("configuration", "defaultVersionId"), version, by)
            target.set(("configuration", "document"), quote(text), by)

        return (
            "iam",
            "CreatePolicyVersion",
            {"policyArn": target.arn, "policyDocument": text, "setAsDefault": True},
            {"policyVersion": {"versionId": version, "isDefaultVersion": True}},
            change,
        )
