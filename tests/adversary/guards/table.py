"""Table of guards: what each keeps out, its place in the code, the text with which it is gone, and the tests that must fail then."""

from typing import NamedTuple


class Guard(NamedTuple):
    """One guard. `part` is of the suite's README; `old` stands in `file` exactly once, `new` in its place takes the guard away.

    `tests` are test functions of this folder (`test_keys.py::test_...`), each of which must fail. `servers`: on a real Kafka
    and PostgreSQL, because it cannot fail in one process. `may_end`: without it the product may end by itself.
    """

    part: int
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    servers: bool = False
    may_end: bool = False


def _in(module: str, *tests: str) -> tuple[str, ...]:
    return tuple(f"test_{module}.py::test_{test}" for test in tests)


_WORK = {
    "times are believed within bounds": Guard(
        1,
        "services/ingest/core/canonical.py",
        "if earliest <= at <= received_at + bounds.ahead:",
        "if True:",
        _in("time", "a_device_without_a_clock_has_no_age", "an_import_goes_as_far_back_as_it_says_and_never_ahead")
        + _in("trust", "it_moves_no_clock_ahead"),
    ),
    "a time that is not believed is kept and counted": Guard(
        1,
        "services/ingest/core/canonical.py",
        "return received_at, id_text(timestamp)[:_MAX_CLAIMED]",
        "return received_at, None",
        _in("time", "a_device_without_a_clock_has_no_age"),
    ),
    "a gap is a jump": Guard(
        1,
        "services/lifecycle/core/fold.py",
        "if standing(account) != before or _skip_quiet(evaluation, compiled, until):",
        "if standing(account) != before:",
        _in("time", "two_dates_of_many_accounts_hold_nobody_up"),
    ),
    "a clock is held against what it showed before": Guard(
        1,
        "shared/service/clock_watch.py",
        "if last is None or last.bears(wall, elapsed):",
        "if True:",
        _in(
            "clock",
            "a_clock_a_month_ahead_moves_no_account_and_says_so",
            "one_start_a_month_ahead_leaves_nobody_in_the_future",
        ),
    ),
    "what is received is not later than the time": Guard(
        1,
        "shared/service/clock_watch.py",
        "return wall if believed.bears(wall, elapsed) else believed.expected(elapsed)",
        "return wall",
        _in("clock", "what_comes_in_while_the_clock_has_jumped_is_counted_at_once"),
    ),
    "the log's own time is believed within bounds": Guard(
        1,
        "services/ingest/core/canonical.py",
        "if received_at is not None and now - bounds.back <= received_at <= now + bounds.ahead:",
        "if received_at is not None:",
        _in("time", "a_record_of_kafka_without_a_time_has_no_age"),
        servers=True,
    ),
}

_TRUST = {
    "a browser tells nothing of a trusted class": Guard(
        2,
        "services/lifecycle/core/apply_event.py",
        "if not trusted and of.trusted:",
        "if False:",
        _in(
            "trust",
            "it_ends_no_subscription",
            "it_tells_no_money_not_even_of_an_account_of_which_nobody_told",
            "it_removes_nobody",
            "it_answers_no_survey",
            "it_says_no_no_objective_no_ticket_and_no_invoice",
            "twelve_events_issue_no_code_and_book_no_reward",
            "claims_are_counted_for_prometheus",
        ),
    ),
    "a browser tells nothing of a trusted class, scaled out": Guard(
        2,
        "services/lifecycle/core/apply_event.py",
        "if not trusted and of.trusted:",
        "if False:",
        _in("trust", "one_post_of_all_of_it_moves_nothing_when_scaled_out_either"),
        servers=True,
    ),
    "a browser's traits do not count": Guard(
        2,
        "services/lifecycle/core/apply_event.py",
        "if not event.is_trusted:\n        claim_traits(",
        "if False:\n        claim_traits(",
        _in(
            "trust",
            "it_tells_no_money_not_even_of_an_account_of_which_nobody_told",
            "it_replaces_neither_the_name_of_an_account_nor_an_administrators_address_and_role",
        ),
    ),
    "a browser replaces nothing of a person": Guard(
        2,
        "services/lifecycle/core/contacts.py",
        "    if trusted:\n        _record_trusted(",
        "    if True:\n        _record_trusted(",
        _in("trust", "it_replaces_neither_the_name_of_an_account_nor_an_administrators_address_and_role")
        + _in("no_is_a_no", "only_a_trusted_source_that_takes_a_no_back_brings_somebody_back"),
    ),
    "a browser moves no user": Guard(
        2,
        "services/ingest/core/account_resolution.py",
        "if old is not None and not new.trusted:",
        "if False:",
        _in("trust", "it_moves_no_known_user_into_another_account", "an_alias_merges_no_known_users"),
    ),
    "a user whom a browser placed is not trusted there": Guard(
        2,
        "services/ingest/core/account_resolution.py",
        'trusted = event.trust != "browser" and bool(event.account_id or (membership and membership.trusted))',
        'trusted = event.trust != "browser"',
        _in("trust", "a_user_it_placed_carries_no_servers_fact_into_that_account"),
    ),
    "a browser marks no history": Guard(
        2,
        "services/ingest/core/canonical.py",
        "    history = None if browser else history\n",
        "",
        _in("trust", "it_marks_no_history_and_ends_none"),
    ),
    "a browser ends no history": Guard(
        2,
        "services/lifecycle/core/fold.py",
        "if is_marker and event.is_trusted:",
        "if is_marker:",
        _in("trust", "it_marks_no_history_and_ends_none"),
    ),
    "use told by a browser counts": Guard(
        2,
        "services/lifecycle/core/apply_event.py",
        "of.writers if trusted else of.browser_writers",
        "of.writers if trusted else ()",
        _in("trust", "use_told_by_a_browser_is_use"),
    ),
    "newcomers through a public key are limited": Guard(
        2,
        "services/ingest/http.py",
        "            self._rates.take_newcomers(sender.key, len(new.accounts), len(new.users), _seconds())\n",
        "",
        _in(
            "keys",
            "nobody_fills_the_house_with_accounts_through_a_public_key",
            "nobody_fills_an_account_with_people_through_a_public_key",
        ),
    ),
    "a source has rates": Guard(
        2,
        "services/ingest/admission.py",
        "if (bucket := meter.buckets.get(rate)) is not None and (wait := bucket.seconds_to_wait(now)):",
        "if (bucket := meter.buckets.get(rate)) is not None and (wait := 0):",
        _in("keys", "a_source_that_posts_more_than_its_rate_is_told_when_to_come_again_and_no_other_is"),
    ),
    "the last use of a key is kept": Guard(
        2,
        "shared/access/keys.py",
        '    await tx.upsert(access_key_use, [{"key_id": key_id, "last_used_at": now} for key_id in sorted(stale)])\n',
        "    del stale\n",
        _in("keys", "a_leaked_key_is_replaced_and_withdrawn_while_events_flow"),
    ),
    "a write key is said to be a server's": Guard(
        2,
        "waymark/commands.py",
        """            ready += f"waymark: {_WRITE_MEANS_SERVER.format(names=', '.join(of_write))}\\n"\n""",
        "            pass\n",
        _in("keys", "a_key_that_was_named_write_is_believed_and_said_to_be_a_servers"),
    ),
    "a key named write means a server's": Guard(
        2,
        "shared/keys.py",
        '_NAMED_BEFORE: dict[str, Kind] = {"write": "server"}',
        '_NAMED_BEFORE: dict[str, Kind] = {"write": "browser"}',
        _in("keys", "a_key_that_was_named_write_is_believed_and_said_to_be_a_servers"),
    ),
    "every resource asks for its key": Guard(
        2,
        "shared/http/auth.py",
        '    raise Refused("this key is not known here", "unknown_key", 401)',
        '    return Key("anybody", "read")',
        _in("keys", "every_resource_asks_for_a_key_of_its_kind"),
    ),
    "a key has origins": Guard(
        2,
        "services/ingest/http.py",
        "if key.origins and (origin :=",
        "if not key.origins and (origin :=",
        _in("keys", "a_public_key_posts_from_its_own_pages_and_from_servers_only"),
    ),
    "a key that is revoked is none": Guard(
        2,
        "shared/access/keys.py",
        "        await tx.run(update(access_key).where(access_key.c.id == key.id).values(revoked_at=now))\n",
        "",
        _in(
            "keys",
            "a_leaked_key_is_replaced_and_withdrawn_while_events_flow",
            "a_key_made_or_withdrawn_on_the_command_line_counts_within_seconds",
        )
        + _in("console", "sessions_and_spent_guesses_outlive_a_restart_and_a_session_ends_with_its_key"),
    ),
    "a change of a key counts": Guard(
        2,
        "shared/access/keys.py",
        '    await tx.update(access_key, [{"id": one, **_stored(changed)} for one in sorted(live)])\n',
        "    del live\n",
        _in("keys", "rates_and_times_of_a_live_key_are_changed_on_the_command_line_and_count_within_seconds"),
    ),
    "a key is kept as its digest": Guard(
        2,
        "shared/keys.py",
        "return sha256(key.encode()).digest()",
        "return key.encode()",
        _in("keys", "no_write_key_is_found_in_what_is_stored_shown_or_logged"),
    ),
    "write keys are taken out of events": Guard(
        2,
        "services/ingest/core/segment.py",
        "    named = event.count(_WRITE_KEY_NAME)\n    if named and",
        "    return event\n    if named and",
        _in("keys", "no_write_key_is_found_in_what_is_stored_shown_or_logged"),
    ),
    "keys that read post nothing": Guard(
        2,
        "services/ingest/http.py",
        "        key = self._keys.find(text, SOURCE_KINDS)\n        if key is None and self._refresh",
        '        key = self._keys.find(text, (*SOURCE_KINDS, "read", "admin"))\n        if key is None and self._refresh',
        _in("harness", "keys_that_read_post_nothing"),
    ),
    "bodies without a key are inflated within a budget": Guard(
        2,
        "services/ingest/http.py",
        "if wait := self._inflated_for_nobody.seconds_to_wait(_seconds()):",
        "if wait := 0:",
        _in("keys", "who_has_no_key_costs_little_and_nobody_else_waits"),
    ),
}

_NO = {
    "a no is asked for in every account": Guard(
        3,
        "services/notify/core/policy.py",
        "declined = refusal is not None or has_declined(",
        "declined = has_declined(",
        _in(
            "no_is_a_no",
            "a_no_holds_in_other_accounts_under_other_ids_and_spellings",
            "leaving_and_signing_up_again_brings_nobody_back",
            "two_thousand_contacts_later_a_no_is_still_a_no",
            "a_no_recorded_by_the_company_and_its_yes_hold_everywhere",
            "a_no_to_one_kind_of_mail_holds_everywhere_and_for_that_kind_alone",
        )
        + _in("flood", "dead_unwilling_and_listed_addresses_are_written_to_from_no_account"),
    ),
    "a no by link is written for the person": Guard(
        3,
        "services/notify/handlers/consent.py",
        'return await persons.add(tx, keys, NewRefusal(given.topic, "unsubscribed", given.source, now))',
        "return False",
        _in(
            "no_is_a_no",
            "a_no_holds_in_other_accounts_under_other_ids_and_spellings",
            "a_no_recorded_by_the_company_and_its_yes_hold_everywhere",
        ),
    ),
    "a yes by our link ends what was said of the person before": Guard(
        3,
        "services/lifecycle/core/feedback.py",
        "if isinstance(message, ConsentChanged) and message.granted and message.topic == _EVERYTHING:",
        "if False:",
        _in("no_is_a_no", "who_comes_back_by_our_link_is_back_until_they_say_no_anew_in_the_same_words"),
    ),
    "a no that a product tells is written for the person": Guard(
        3,
        "services/notify/handlers/refusals.py",
        "        elif change.unsubscribed:\n",
        "        elif False:\n",
        _in(
            "no_is_a_no",
            "leaving_and_signing_up_again_brings_nobody_back",
            "two_thousand_contacts_later_a_no_is_still_a_no",
            "only_a_trusted_source_that_takes_a_no_back_brings_somebody_back",
            "every_spelling_of_a_no_is_a_no_and_only_a_clear_yes_takes_it_back",
        ),
    ),
    "a no follows a user id to another address": Guard(
        3,
        "services/notify/handlers/consent.py",
        "    keys[persons.keys.of_user(given.user)] = None\n",
        "",
        _in("no_is_a_no", "a_no_holds_in_other_accounts_under_other_ids_and_spellings"),
    ),
    "an address is one in every spelling": Guard(
        3,
        "services/notify/core/person.py",
        'local, at, domain = text.strip().lower().rpartition("@")',
        'local, at, domain = text.rpartition("@")',
        _in("no_is_a_no", "a_no_holds_in_other_accounts_under_other_ids_and_spellings"),
    ),
    "a tag is no other mailbox": Guard(
        3,
        "services/notify/core/person.py",
        '    local = local.partition("+")[0] or local\n',
        "",
        _in("no_is_a_no", "a_no_holds_in_other_accounts_under_other_ids_and_spellings")
        + _in("flood", "one_post_reaches_a_stranger_once_and_carries_nothing_of_the_attackers"),
    ),
    "a name that looks like a no is heard as one": Guard(
        3,
        "shared/consent.py",
        "        elif kind and _says_no(plain_name(short), value):",
        "        elif False:",
        _in("no_is_a_no", "every_spelling_of_a_no_is_a_no_and_only_a_clear_yes_takes_it_back"),
    ),
    "a no that comes along with something else is heard": Guard(
        3,
        "services/lifecycle/core/fold.py",
        "if event.no_to_mail or occurrence.about_mail:",
        "if False:",
        _in("no_is_a_no", "a_no_that_comes_along_with_something_else_and_a_report_of_a_mail_tool_stop_the_mail"),
    ),
    "a browser tells of no bounce": Guard(
        3,
        "services/lifecycle/core/heard_of_mail.py",
        'if not is_believed and reason == "bounced":',
        "if False:",
        _in("no_is_a_no", "a_no_that_comes_along_with_something_else_and_a_report_of_a_mail_tool_stop_the_mail"),
    ),
    "a no is spelled in many ways": Guard(
        3,
        "shared/consent.py",
        "return word not in _NOT_OPTED_OUT if word else None",
        'return word == "true" if word else None',
        _in("no_is_a_no", "every_spelling_of_a_no_is_a_no_and_only_a_clear_yes_takes_it_back"),
    ),
    "a person's budget is one over all accounts": Guard(
        3,
        "services/notify/core/budget.py",
        "theirs = list((own | {past.delivery: past for past in spent if past.delivery != contact.delivery}).values())",
        "theirs = list(own.values())",
        _in("no_is_a_no", "one_person_in_three_accounts_gets_one_mail_a_day")
        + _in("flood", "one_post_reaches_a_stranger_once_and_carries_nothing_of_the_attackers"),
    ),
    "mail goes to addresses that a trusted source told": Guard(
        3,
        "services/notify/core/policy.py",
        'return None if trusted else Verdict("skip", "unverified")',
        "return None",
        _in("no_is_a_no", "an_address_that_only_a_public_key_told_gets_no_mail")
        + _in("flood", "one_post_reaches_a_stranger_once_and_carries_nothing_of_the_attackers"),
    ),
    "a refusal is asked for again while the conversation goes on": Guard(
        3,
        "services/notify/handlers/delivery.py",
        "verdict = recheck(account, decision, now, self._book, CONFIRM_CHECKS)",
        "verdict = recheck(account, decision, now, self._book, (lambda _case: None,))",
        _in("no_is_a_no", "a_no_in_the_middle_of_the_conversation_stops_the_mail"),
    ),
    "a name carries no link": Guard(
        3,
        "shared/names.py",
        "return bool(_LINK.search(folded) or _ANY_DOMAIN.search(folded))",
        "return False",
        _in("flood", "one_post_reaches_a_stranger_once_and_carries_nothing_of_the_attackers"),
    ),
    "a name shows all of itself": Guard(
        3,
        "shared/names.py",
        "if sign in _JOINERS or unicodedata.category(sign) not in _HIDDEN",
        "if True",
        _in("flood", "one_post_reaches_a_stranger_once_and_carries_nothing_of_the_attackers"),
    ),
    "a hard bounce speaks against the address": Guard(
        3,
        "services/notify/handlers/delivery.py",
        'if outcome == "bounced" and record.address:',
        "if False:",
        _in("flood", "dead_unwilling_and_listed_addresses_are_written_to_from_no_account"),
    ),
    "a report is signed where the settings say so": Guard(
        3,
        "services/notify/http/feedback.py",
        'if signers and key.kind != "admin" and not is_signed(',
        "if False and not is_signed(",
        _in("console", "who_found_a_server_key_silences_nobody_where_a_provider_signs"),
    ),
    "a report by mail names a delivery of ours": Guard(
        3,
        "services/notify/handlers/feedback.py",
        "if not report.needs_delivery:",
        "if report.address:",
        _in("flood", "dead_unwilling_and_listed_addresses_are_written_to_from_no_account"),
    ),
    "so many leave in an hour": Guard(
        3,
        "services/notify/core/budget.py",
        "            if total < self.max:\n",
        "            if True:\n",
        _in("flood", "no_more_leaves_in_an_hour_than_the_ceiling_and_somebody_may_let_the_rest_go"),
    ),
    "an honest account is written to": Guard(
        3,
        "services/notify/core/policy.py",
        'declined = refusal is not None or has_declined(case.account, case.user or "", *message)',
        "declined = True",
        _in("harness", "an_honest_account_is_welcomed_by_mail"),
    ),
}

_VALUES = {
    "what is no JSON is mended": Guard(
        4,
        "services/ingest/core/segment.py",
        '        text = _STRING_OR_NO_NUMBER.sub(lambda token: b"null" if token[1] else token[0], text)\n',
        "        pass\n",
        _in("bad_values", "one_bad_event_costs_no_other_its_place"),
    ),
    "a byte order mark is mended": Guard(
        4,
        "services/ingest/core/segment.py",
        "text = text.removeprefix(BOM_UTF8)",
        "text = bytes(text)",
        _in("bad_values", "one_bad_event_costs_no_other_its_place"),
    ),
    "what cannot be read beside a batch is passed over": Guard(
        4,
        "services/ingest/core/segment.py",
        "    sentAt: Any = None  # noqa: N815  as on the wire\n",
        "    sentAt: Id = None  # noqa: N815\n",
        _in("bad_values", "one_bad_event_costs_no_other_its_place"),
    ),
    "what cannot be read around a batch is passed over": Guard(
        4,
        "services/ingest/core/segment.py",
        "        members = _members(around.strip())\n",
        "        members: list[bytes] = []\n",
        _in("bad_values", "one_bad_event_costs_no_other_its_place"),
    ),
    "what a request says of its events is short": Guard(
        4,
        "services/ingest/core/segment.py",
        "self.sentAt = sent_at if len(sent_at) <= _MAX_TIME_LENGTH else None",
        "pass",
        _in("bad_values", "what_is_said_of_a_batch_is_not_stored_with_each_event"),
    ),
    "a batch is cut where an event cannot be read": Guard(
        4,
        "services/ingest/core/segment.py",
        'cut = _cut(mended) if why.code in {"bad_json", "too_deep"} else None',
        "cut = None",
        _in("bad_values", "one_bad_event_costs_no_other_its_place"),
    ),
    "numbers are read from texts": Guard(
        4,
        "shared/values.py",
        "    if _NUMBER.fullmatch(text):\n        return float(text)\n",
        "",
        _in("bad_values", "numbers_money_and_dates_are_read_from_what_tools_send"),
    ),
    "a score is on its scale": Guard(
        4,
        "shared/values.py",
        "return number if isinstance(number, int) and number in scale else None",
        "return int(number) if number is not None else None",
        _in("bad_values", "a_score_is_one_number_to_lifecycle_and_to_advocacy"),
    ),
    "what cannot be read is listed": Guard(
        4,
        "services/lifecycle/core/apply_event.py",
        "        if value is not None and read(value) is None:\n",
        "        if False:\n",
        _in("bad_values", "what_cannot_be_read_is_counted_by_source_event_and_property"),
    ),
}

_UPGRADE = {
    "a newer layout is refused at the start": Guard(
        5,
        "waymark/compatibility.py",
        "    if found:\n        raise NewerDatabase(found)\n",
        "",
        _in("upgrade", "a_newer_layout_is_refused_at_the_start_in_clear_words"),
    ),
    "a newer layout is told by readyz": Guard(
        5,
        "waymark/compatibility.py",
        """return "; ".join([*sorted({*newer, *self._rows}), ADVICE]) if newer or self._rows else \"\"""",
        'return ""',
        _in("upgrade", "a_layout_that_a_newer_version_wrote_meanwhile_is_told_by_readyz"),
    ),
    "what an older version stored is read": Guard(
        5,
        "services/lifecycle/layouts.py",
        'plain[_DEFINITION_VERSION:] = ["", 0]',
        "plain[_DEFINITION_VERSION:] = [None, 0]",
        _in("upgrade", "the_database_of_0_1_0_is_opened_under_traffic_that_loses_and_repeats_nothing"),
        may_end=True,
    ),
    "a newer revision is told by readyz": Guard(
        5,
        "waymark/compatibility.py",
        "newer = [found for one, revisions in current.items() for found in one.newer(revisions)]",
        "newer: list[str] = []",
        _in("upgrade", "a_process_beside_a_newer_schema_parks_nothing_says_so_and_hands_over"),
        servers=True,
    ),
    "nobody restores under a running process": Guard(
        5,
        "waymark/backup/commands.py",
        "            with sole_user(settings):\n                await _to_sqlite(",
        "            with nullcontext():\n                await _to_sqlite(",
        _in("upgrade", "a_backup_under_traffic_is_restored_with_every_event_that_had_been_counted"),
    ),
    "a backup is of what is committed, not of the main file": Guard(
        5,
        "waymark/backup/sqlite.py",
        'database.execute("VACUUM INTO ?", [str(partial)])',
        "shutil.copyfile(source, partial)",
        _in("upgrade", "a_backup_under_traffic_is_restored_with_every_event_that_had_been_counted"),
    ),
    "what was read before a move is not read again": Guard(
        5,
        "waymark/backup/conversion.py",
        "counted[group][number] += offset < next_offset",
        "counted[group][number] += 0",
        _in("upgrade", "one_process_moves_to_postgresql_and_kafka_and_goes_on_and_back"),
        servers=True,
    ),
    "a file without a description is no backup": Guard(
        5,
        "waymark/backup/commands.py",
        '    is_sqlite = check_database_url(settings) == "sqlite"\n    with BackupFile(file) as found:',
        '    is_sqlite = check_database_url(settings) == "sqlite"\n'
        '    if b"CREATE TABLE waymark_backup" not in file.read_bytes():\n'
        "        _file(settings).parent.mkdir(parents=True)\n"
        "        _file(settings).write_bytes(file.read_bytes())\n"
        "        return {}\n"
        "    with BackupFile(file) as found:",
        _in("upgrade", "a_copied_main_file_is_refused"),
    ),
}

_TRUTH = {
    "a demo is emptied under its lock": Guard(
        6,
        "waymark/demo/folder.py",
        "    with sole_user(own):\n",
        "    if own:\n",
        _in("truthful", "a_second_demo_removes_nothing_under_the_first_and_neither_touches_a_real_database"),
    ),
    "a demo is not removed without asking": Guard(
        6,
        "waymark/demo/folder.py",
        "if held and not reset and not unfinished and not ask(",
        "if False and not ask(",
        _in("truthful", "a_demo_that_somebody_may_have_worked_in_is_not_removed_without_asking"),
    ),
    "a demo has a database of its own": Guard(
        6,
        "waymark/demo/folder.py",
        '_OWN = ("host",',
        '_OWN = ("database_url", "host",',
        _in("truthful", "a_second_demo_removes_nothing_under_the_first_and_neither_touches_a_real_database"),
    ),
    "readyz tries to write": Guard(
        6,
        "shared/http/health.py",
        "        await self._database.check_writable()\n",
        "",
        _in("truthful", "a_database_that_somebody_else_has_locked_is_not_ready"),
    ),
    "readyz looks at the archive's retention": Guard(
        6,
        "shared/http/health.py",
        "            problem = await self._bus.retention_problem()\n",
        "",
        _in("truthful", "an_archive_that_somebody_lets_expire_is_not_ready_and_added_partitions_have_a_lag"),
        servers=True,
    ),
    "metrics ask for the lag themselves": Guard(
        6,
        "shared/http/health.py",
        "        await health.refresh()\n",
        "",
        _in("truthful", "an_archive_that_somebody_lets_expire_is_not_ready_and_added_partitions_have_a_lag"),
        servers=True,
    ),
    "files are their owner's alone": Guard(
        6,
        "shared/files.py",
        "_FILE, _FOLDER = 0o600, 0o700\n_OTHERS = 0o077",
        "_FILE, _FOLDER = 0o644, 0o755\n_OTHERS = 0",
        _in("keys", "what_stands_in_the_data_folder_is_its_owners_alone"),
    ),
}

_CONSOLE = {
    "the pages' scripts are ours": Guard(
        7,
        "shared/http/api_docs.py",
        '<script src="docs/swagger-ui-bundle.js?v={version}"></script>',
        '<script src="https://cdn.example.com/swagger-ui-bundle.js?v={version}"></script>',
        _in("console", "the_openapi_page_loads_nothing_from_another_host"),
    ),
    "the pages' policy names no host": Guard(
        7,
        "shared/http/security.py",
        "API_DOCS_POLICY = content_policy(script_src=_SELF,",
        "API_DOCS_POLICY = content_policy(script_src=\"'self' 'unsafe-inline'\",",
        _in("console", "the_policy_of_an_openapi_page_names_no_host_and_lets_nothing_inline_run"),
    ),
    "every answer has its headers": Guard(
        7,
        "shared/http/security.py",
        "                    headers.setdefault(name, content)\n",
        "                    headers.get(name, content)\n",
        _in(
            "console",
            "every_answer_is_framed_nowhere_guessed_at_by_no_browser_and_runs_nothing_inline",
        ),
    ),
    "a page with a link in its address tells it to nobody": Guard(
        7,
        "shared/http/security.py",
        '        "Referrer-Policy": "no-referrer",\n        **_EVERYWHERE,',
        '        "Referrer-Policy": "unsafe-url",\n        **_EVERYWHERE,',
        _in("console", "an_address_with_a_link_in_it_is_told_to_nobody"),
    ),
    "docs and metrics may be closed": Guard(
        7,
        "shared/http/auth.py",
        '        _accepted(keys, presented_key(request) or _basic_password(request), "read")\n',
        "        pass\n",
        _in(
            "console",
            "docs_and_metrics_are_open_as_ever_and_closed_where_a_setting_says_so",
            "prometheus_and_a_browser_bring_the_key_in_their_own_ways",
        ),
    ),
    "a cookie is kept as its digest": Guard(
        7,
        "shared/access/sessions.py",
        "return sha256(cookie.encode()).digest()",
        "return cookie.encode()",
        _in("console", "the_cookie_says_nothing_and_neither_it_nor_the_key_is_in_the_database"),
    ),
    "a session ends with its sign-out": Guard(
        7,
        "shared/access/sessions.py",
        "    await tx.run(update(access_session).where(_columns.id.in_(ids), _columns.ended_at.is_(None)).values(ended_at=now))",
        "    del tx, ids, now",
        _in(
            "console",
            "a_cookie_is_worth_nothing_after_signing_out_and_nothing_anywhere_else",
            "signing_out_everywhere_ends_the_sessions_of_this_key_and_of_no_other",
            "who_signs_in_anew_leaves_no_session_behind",
            "an_admin_ends_a_session_from_another",
        ),
    ),
    "a reader sees no other sessions": Guard(
        7,
        "services/console/http/auth.py",
        "if key is not None and (signed_in.admin or key.id == signed_in.key.id)",
        "if key is not None",
        _in("console", "a_reader_ends_nobody_elses_session"),
    ),
    "a key's session ends with the key": Guard(
        7,
        "services/console/http/auth.py",
        "return self._keys.of_id(session.key_id) if same else None",
        'return Key("anybody", "admin")',
        _in("console", "sessions_and_spent_guesses_outlive_a_restart_and_a_session_ends_with_its_key"),
    ),
    "an address may try so many keys": Guard(
        7,
        "services/console/core/throttle.py",
        "        own = own.less(1)\n",
        "",
        _in(
            "console",
            "who_guesses_keys_is_stopped_and_told_so_and_nobody_else_is",
            "an_address_that_only_the_visitor_tells_is_not_believed",
        ),
    ),
    "attempts are counted over all processes": Guard(
        7,
        "services/console/http/auth.py",
        "return wait.seconds or await self._counted_everywhere(address, now, known=known)",
        "return wait.seconds",
        _in("console", "sessions_and_spent_guesses_outlive_a_restart_and_a_session_ends_with_its_key"),
    ),
    "all together may try so many keys": Guard(
        7,
        "services/console/core/throttle.py",
        "        everybody = everybody.less(1)\n",
        "",
        _in("console", "guesses_from_everywhere_are_stopped_too_but_not_those_who_work_here"),
    ),
    "a trusted proxy alone says where one comes from": Guard(
        7,
        "waymark/serving.py",
        "        forwarded_allow_ips=trusted_proxies,\n",
        '        forwarded_allow_ips="*",\n',
        _in("console", "an_address_that_only_the_visitor_tells_is_not_believed"),
    ),
    "an act is recorded": Guard(
        7,
        "shared/access/audit.py",
        "    await tx.insert(access_audit, [row])\n",
        "    del tx, row\n",
        _in(
            "console",
            "every_act_leaves_a_record_of_who_did_it_when_and_from_where",
            "the_audit_log_is_for_admins_and_shown_in_the_console",
        ),
    ),
    "an act on the command line is recorded": Guard(
        7,
        "waymark/command_audit.py",
        "            await audit.record(tx, AuditEntry(now, actor(), action, subject, details))\n",
        "            del tx\n",
        _in("console", "what_is_done_on_the_command_line_leaves_a_record_of_the_machines_user"),
    ),
    "only admins act": Guard(
        7,
        "shared/http/auth.py",
        '"admin": ("admin",)}',
        '"admin": ("read", "admin")}',
        _in("console", "the_audit_log_is_for_admins_and_shown_in_the_console")
        + _in(
            "keys",
            "a_leaked_key_is_replaced_and_withdrawn_while_events_flow",
            "every_resource_asks_for_a_key_of_its_kind",
        ),
    ),
    "a password is said behind TLS only": Guard(
        7,
        "services/notify/channels/email.py",
        'start_tls=True if to.username and to.scheme == "smtp" else None,',
        "start_tls=None,",
        _in("egress", "a_mail_server_without_starttls_never_hears_the_password"),
    ),
    "an address within an address is looked at": Guard(
        7,
        "shared/networks.py",
        "if translated or int(address) >> 32 & _LOWER_HALF in _ISATAP:",
        "if False:",
        _in("egress", "no_spelling_of_an_address_of_ours_is_called"),
    ),
}

_MONEY = {
    "a refund is of the invoice that it names": Guard(
        8,
        "services/advocacy/core/referral.py",
        "return not self.invoice or not payment.invoice or self.invoice == payment.invoice",
        "return True",
        _in("money", "a_refund_takes_back_the_payment_it_names"),
    ),
    "a part of a refund is a part": Guard(
        8,
        "services/advocacy/core/attribution.py",
        "return refunded_share(payment, referral.refunds, until) >= Decimal(str(rules.refund.reverse_from))",
        "return refunded_share(payment, referral.refunds, until) > 0",
        _in("money", "a_refund_takes_back_the_payment_it_names"),
    ),
    "a refund before its payment is remembered": Guard(
        8,
        "services/advocacy/core/reducer.py",
        "    return _with_referral(replace(account, refunds=remember_refund(account.refunds, refund, payment)))",
        "    if payment is None:\n        return account, []\n"
        "    return _with_referral(replace(account, refunds=remember_refund(account.refunds, refund, payment)))",
        _in("money", "a_refund_takes_back_the_payment_it_names"),
    ),
    "nobody refers an address of their own": Guard(
        8,
        "services/advocacy/core/attribution.py",
        "        own = code.email and code.email in map(normalise_email, referral.emails)\n",
        '        own = ""\n',
        _in("money", "the_advocates_own_addresses_and_workspaces_earn_nothing"),
    ),
    "nobody refers a workspace of their own": Guard(
        8,
        "services/advocacy/core/attribution.py",
        'return "the advocate signed up a second workspace" if code.user in referral.users else ""',
        'return ""',
        _in("money", "the_advocates_own_addresses_and_workspaces_earn_nothing"),
    ),
    "a subdomain is the same company": Guard(
        8,
        "services/advocacy/core/referral.py",
        'return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")',
        "return False",
        _in("money", "the_advocates_own_addresses_and_workspaces_earn_nothing"),
    ),
    "a payment has a least amount": Guard(
        8,
        "services/advocacy/core/reducer.py",
        "if amount <= 0 or (least is not None and amount < least):",
        "if amount <= 0:",
        _in("money", "a_token_payment_pays_nothing_and_what_cannot_be_read_is_listed"),
    ),
    "a currency has its own minor units": Guard(
        8,
        "shared/values.py",
        "return _MINOR_DIGITS.get(code, 2) if _CURRENCY.fullmatch(code) else None",
        "return 2",
        _in("money", "a_token_payment_pays_nothing_and_what_cannot_be_read_is_listed"),
    ),
    "another currency than the minimum's waits for a person": Guard(
        8,
        "services/advocacy/core/attribution.py",
        'return f"no minimum is set for payments in {payment.currency}" if payment and payment.needs_review else ""',
        'return ""',
        _in("money", "another_currency_than_the_minimums_waits_for_a_person"),
    ),
}

GUARDS: dict[str, Guard] = {**_WORK, **_TRUST, **_NO, **_VALUES, **_UPGRADE, **_TRUTH, **_CONSOLE, **_MONEY}
"""Every guard, by what it does."""

_TWO_BEHIND_EACH_OTHER = (
    "the refusal is read at the claim, and the budget holds what would be a second mail: either alone is enough"
)

WITHOUT_A_GUARD: dict[str, str] = {
    "test_no_is_a_no.py::test_a_no_while_other_accounts_write_stops_what_has_not_left": _TWO_BEHIND_EACH_OTHER,
}
"""Tests that no single guard makes fail, and why."""
