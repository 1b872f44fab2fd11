"""Agents: the app's calls about agents, what an agent can do with its delegations, and how a delegation ends."""

from world import Case


class Agents(Case):
    """An app with an identity provider; each test names its own agents."""

    idp = True
    scopes = {"acme": ["read"]}

    async def delegated(self, app, name, subject):
        """An agent with a user's delegation."""
        made = await app.agents.create(name=name, scopes=self.scopes)
        grant = await self.connect(app, user_token=self.user(subject), agent=name)
        return made, grant


class Namespace(Agents):
    async def test_an_agent_is_made_read_changed_suspended_resumed_and_deleted(self):
        async with self.client() as app:
            made = await app.agents.create(
                name="mailbot", scopes=self.scopes, display_name="Mail bot", type="service", metadata={"team": "a"}
            )
            self.assertRegex(made.api_key, r"\Aalter_ak_[a-z2-7]{22}_[a-z2-7]{6}\Z")
            self.assertEqual((made.name, made.type, made.status, made.version), ("mailbot", "service", "active", 1))
            agent_id = str(made.id)
            read = await app.agents.get(agent_id)
            self.assertEqual((read.id, read.scopes, read.metadata), (made.id, self.scopes, {"team": "a"}))
            self.assertEqual((await app.agents.get_by_name("mailbot")).id, made.id)
            self.assertIsNone(await app.agents.get_by_name("nobody"))
            changed = await app.agents.update(agent_id, display_name="Post", scopes={}, expected_version=read.version)
            self.assertEqual((changed.display_name, changed.scopes, changed.version), ("Post", {}, 2))
            self.assertEqual((await app.agents.suspend(agent_id)).status, "inactive")
            self.assertEqual((await app.agents.resume(agent_id)).status, "active")
            deleted = [await app.agents.delete(agent_id) for _ in range(2)]
            self.assertEqual([agent.status for agent in deleted], ["revoked", "revoked"])
            self.assertEqual((await app.agents.get(agent_id)).status, "revoked")
            self.assertIsNone(await app.agents.get_by_name("mailbot"), "a name is free again")

    async def test_a_list_has_pages_and_shows_the_deleted_when_asked(self):
        made = self.world.app("Lists of agents")
        async with self.client(made["api_key"]) as app:
            agents = [await app.agents.create(name=f"a-{number}", scopes={}) for number in range(3)]
            await app.agents.delete(str(agents[0].id))
            page = await app.agents.list(limit=1)
            self.assertEqual(([found.name for found in page.agents], page.total, page.has_more), (["a-1"], 2, True))
            page = await app.agents.list(limit=1, offset=1)
            self.assertEqual(([found.name for found in page.agents], page.has_more), (["a-2"], False))
            page = await app.agents.list(include_revoked=True)
            self.assertEqual([found.name for found in page.agents], ["a-0", "a-1", "a-2"])

    async def test_an_idempotency_key_makes_one_agent_and_shows_its_key_once(self):
        async with self.client() as app:
            first, second = [
                await app.agents.create(name="once", scopes={}, idempotency_key="k-once") for _ in range(2)
            ]
        self.assertEqual((first.id, first.key_id), (second.id, second.key_id))
        self.assertTrue(first.api_key)
        self.assertIsNone(second.api_key)

    async def test_keys_are_minted_listed_deprecated_and_revoked(self):
        async with self.client() as app:
            made = await app.agents.create(name="keys", scopes={})
            agent_id = str(made.id)
            minted = await app.agents.mint_key(agent_id)
            listed = (await app.agents.list_keys(agent_id)).items
            self.assertEqual([key.key_id for key in listed], [made.key_id, minted.key_id], "oldest first")
            self.assertTrue(all(minted.api_key not in key.key_prefix for key in listed))
            async with self.agent(minted.api_key) as agent:
                self.assertEqual((await agent.me()).id, made.id)
                deprecated = await app.agents.deprecate_key(agent_id, str(minted.key_id))
                self.assertEqual((deprecated.status, deprecated.revoked_at), ("deprecated", None))
                with self.assertWarnsRegex(UserWarning, "is deprecated"):
                    await agent.me()
            restored = await app.agents.undeprecate_key(agent_id, str(minted.key_id))
            self.assertEqual(restored.status, "active")
            revoked = await app.agents.revoke_key(agent_id, str(minted.key_id))
            self.assertEqual(revoked.status, "revoked")
            forced = await app.agents.revoke_key(agent_id, str(made.key_id), force=True)
            self.assertEqual(forced.status, "revoked")


class Me(Agents):
    async def test_an_agent_reads_itself_also_while_suspended(self):
        from alter_sdk.exceptions import AgentInactiveError

        async with self.client() as app:
            made = await app.agents.create(name="self", scopes=self.scopes)
            async with self.agent(made.api_key) as agent:
                me = await agent.me()
                self.assertEqual((me.id, me.name, me.status), (made.id, "self", "active"))
                await app.agents.suspend(str(made.id))
                self.assertEqual((await agent.me()).status, "inactive")
                with self.assertRaises(AgentInactiveError):
                    await agent.list_grants()
                await app.agents.resume(str(made.id))
                self.assertEqual((await agent.list_grants()).total, 0)


class Delegated(Agents):
    async def test_a_session_for_an_agent_delegates_the_grant_by_name_and_by_id(self):
        async with self.client() as app:
            made, grant = await self.delegated(app, "by-name", "d-1")
            self.assertEqual((grant.delegation.agent_id, grant.delegation.delegable), (str(made.id), False))
            again = await self.connect(app, user_token=self.user("d-1"), agent=str(made.id))
            self.assertEqual((again.grant_id, again.operation), (grant.grant_id, "reauth"))
            [listed] = (await app.list_grants(end_user_token=self.user("d-1"))).grants
        self.assertEqual(listed.delegated_agent_ids, [str(made.id)])

    async def test_an_agent_calls_by_grant_by_provider_and_by_user(self):
        async with self.client() as app:
            made, first = await self.delegated(app, "caller", "d-2")
            async with self.agent(made.api_key) as agent:
                for which in ({"grant_id": first.grant_id}, {"provider": "acme"}):
                    self.assertEqual((await agent.request("GET", self.api, **which)).status_code, 200)
                await self.connect(app, "kim", user_token=self.user("d-3"), agent="caller")
                for subject, person in (("d-2", "pat"), ("d-3", "kim")):
                    token = self.user(subject)
                    answer = await agent.request("GET", self.api, provider="acme", user_token=token)
                    self.assertEqual(answer.json()["sub"], person)

    async def test_an_agent_gets_no_account_by_a_name_that_nobody_has_verified(self):
        from alter_sdk.exceptions import AmbiguousGrantError

        async with self.client() as app:
            made, grant = await self.delegated(app, "namer", "d-20")
            [listed] = (await app.list_grants(end_user_token=self.user("d-20"))).grants
            async with self.agent(made.api_key) as agent:
                with self.assertRaises(AmbiguousGrantError) as caught:
                    await agent.request("GET", self.api, provider="acme", account=listed.account_identifier)
                refused = caught.exception
                self.assertTrue(refused.account_was_provided)
                self.assertEqual([c.grant_id for c in refused.candidates], [grant.grant_id])
                [candidate] = refused.details["candidates"]
                for choice in ({"account": candidate["account_id"]}, {"account": "pat@provider.test", "user_token": self.user("d-20")}):
                    answer = await agent.request("GET", self.api, provider="acme", **choice)
                    self.assertEqual(answer.json()["sub"], "pat")

    async def test_an_agent_lists_what_was_delegated_to_it_with_every_filter(self):
        async with self.client() as app:
            made, grant = await self.delegated(app, "lister", "d-4")
            await self.connect(app, "kim", user_token=self.user("d-5"), agent="lister", requested_grant={"label": "kims"})
            await self.connect(app, "lee", user_token=self.user("d-5"))
            async with self.agent(made.api_key) as agent:
                everything = await agent.list_grants()
                self.assertEqual(everything.total, 2)
                for item in everything.grants:
                    self.assertEqual(item.access_via, "oauth_delegation")
                    self.assertEqual((item.delegated_agent_ids, item.scopes), ([str(made.id)], ["read"]))
                    self.assertTrue(item.delegated_at)
                for filters, count in [
                    ({"provider_id": "acme"}, 2),
                    ({"provider_id": "github"}, 0),
                    ({"status": "active"}, 2),
                    ({"status": "revoked"}, 0),
                    ({"account": "kim@provider.test"}, 1),
                    ({"account": "lee@provider.test"}, 0),
                    ({"label": "kims"}, 1),
                    ({"end_user_token": self.user("d-4")}, 1),
                    ({"limit": 1}, 2),
                ]:
                    with self.subTest(filters):
                        self.assertEqual((await agent.list_grants(**filters)).total, count)
                await app.revoke_grant(grant.grant_id)
                self.assertEqual((await agent.list_grants()).total, 1, "a revoked grant is no longer delegated")

    async def test_the_app_ends_a_delegation_and_the_grant_goes_on(self):
        from alter_sdk.exceptions import NoDelegatedGrantError

        async with self.client() as app:
            made, grant = await self.delegated(app, "ended", "d-6")
            async with self.agent(made.api_key) as agent:
                self.assertEqual((await agent.request("GET", self.api, provider="acme")).status_code, 200)
                for _ in range(2):
                    await app.revoke_delegation(grant.grant_id, str(made.id))
                with self.assertRaises(NoDelegatedGrantError):
                    await agent.request("GET", self.api, provider="acme")
            self.assertEqual((await app.request("GET", self.api, grant_id=grant.grant_id)).status_code, 200)

    async def test_an_agent_gives_up_its_delegation(self):
        from alter_sdk.exceptions import NoDelegatedGrantError

        async with self.client() as app:
            made, grant = await self.delegated(app, "gives-up", "d-7")
            async with self.agent(made.api_key) as agent:
                for _ in range(2):
                    await agent.revoke_delegation(grant.grant_id)
                with self.assertRaises(NoDelegatedGrantError):
                    await agent.request("GET", self.api, grant_id=grant.grant_id)

    async def test_the_app_calls_in_an_agents_name_with_its_own_rights(self):
        async with self.client() as app:
            made = await app.agents.create(name="named", scopes={})
            grant = await self.connect(app, user_token=self.user("d-8"))
            with self.assertWarnsRegex(UserWarning, "impersonation"):
                answer = await app.get_agent(made.id).request("GET", self.api, grant_id=grant.grant_id)
        self.assertEqual(answer.status_code, 200)

    async def test_a_deleted_agents_delegations_and_keys_end_with_it(self):
        from alter_sdk.exceptions import AgentRevokedError

        async with self.client() as app:
            made, grant = await self.delegated(app, "deleted", "d-9")
            await app.agents.delete(str(made.id))
            async with self.agent(made.api_key) as agent:
                with self.assertRaises(AgentRevokedError):
                    await agent.request("GET", self.api, grant_id=grant.grant_id)
            [listed] = (await app.list_grants(end_user_token=self.user("d-9"))).grants
        self.assertEqual(listed.delegated_agent_ids, [])

    async def test_an_agents_report_of_its_call_is_taken(self):
        path = "/sdk/oauth/audit/api-call"
        async with self.client() as app:
            made, grant = await self.delegated(app, "reports", "d-10")
            before = len(self.server.requests(path))
            async with self.agent(made.api_key) as agent:
                await agent.request("GET", self.api, grant_id=grant.grant_id)
        self.assertEqual(self.server.requests(path, before, 1), [(202, None)])
