"""A no to mail is heard by every name, in every spelling and shape that customers' tools have for it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consent import declines_mail, read_consent_traits, read_opt_out

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(
    ["consent", "email", "unsubscribed", "marketing", "preferences", "channel", "opt_outs", "status"]
)


@pytest.mark.parametrize(
    "value", ["maybe", "2024-01-01", 2, -1, "unsubscribed", "none", "opted out", "да", "TRUE", " 1 "]
)
def test_what_cannot_be_read_as_a_yes_to_mail_is_a_no(value: object) -> None:
    assert read_opt_out(value) is True


@pytest.mark.parametrize("value", [False, "false", "FALSE", "No", "n", "off", "0", 0, 0.0, "subscribed"])
def test_a_clear_not_unsubscribed_is_no_no(value: object) -> None:
    assert read_opt_out(value) is False


@pytest.mark.parametrize("value", [None, "", "  ", [], {}, ["news"]])
def test_who_says_nothing_about_mail_changes_nothing(value: object) -> None:
    assert read_opt_out(value) is None


@pytest.mark.parametrize(
    "traits",
    [
        {"Unsubscribed": True},
        {"UNSUBSCRIBED": "1"},
        {"$unsubscribed": "yes"},
        {"\uff55nsubscribed": True},
        {"un\u200bsubscribed": True},
        {"email_opt_out": True},
        {"emailOptOut": "true"},
        {"opted-out": 1},
        {"do not email": "y"},
        {"marketing_opt_in": False},
        {"marketing_opt_in": "nein"},
        {"email_consent": "denied"},
        {"marketing_consent": "Not granted"},
        {"acceptsMarketing": "no"},
        {"unsubscribed": False, "email_opt_out": True},
        {"unsubscribed_at": "2026-01-01"},
        {"unsubscribedFromNewsletter": "true"},
        {"globally_unsubscribed": 1},
        {"unsubscribe_from_all": True},
        {"isOptedOut": True},
        {"opted_out_at": "2026-01-01T00:00:00Z"},
        {"marketingEmailsOptOut": True},
        {"dont_email": True},
        {"do_not_send_email": "yes"},
        {"no_emails": True},
        {"email_marketing_consent": False},
        {"email_status": "Unsubscribed"},
        {"newsletter_subscription": "opted_out"},
        {"marketing_consent_revoked_at": "2026-01-01"},
        {"email": "ann@acme.test", "email_permission": 0},
        {"wants_newsletter": False},
        {"newsletter": False},
        {"Marketing emails": "off"},
        {"email_frequency": "Never"},
        {"consent": "withdrawn"},
        {"opted_in": "no"},
        {"canEmail": False},
        {"email_unsub": 1},
        {"email_bounced": True},
        {"email_preference": "none"},
        {"tags": ["vip", "Unsubscribed"]},
    ],
)
def test_a_no_to_mail_is_read_by_every_name(traits: dict[str, object]) -> None:
    assert declines_mail(traits)


@pytest.mark.parametrize(
    ("tool", "traits"),
    [
        ("HubSpot", {"hs_email_optout": "true"}),
        ("HubSpot, one kind of mail", {"hs_email_optout_123456": "true"}),
        ("HubSpot, bounced", {"hs_email_hard_bounce_reason_enum": "UNKNOWN_USER"}),
        ("HubSpot, preferences", {"subscriptionStatuses": [{"name": "News", "status": "UNSUBSCRIBED"}]}),
        ("Salesforce", {"HasOptedOutOfEmail": True}),
        ("Salesforce, below its name", {"salesforce": {"HasOptedOutOfEmail": "true"}}),
        ("Pardot", {"is_do_not_email": "1"}),
        ("Intercom", {"unsubscribed_from_emails": True}),
        ("Intercom, spam", {"marked_email_as_spam": True}),
        ("Intercom, bounced", {"has_hard_bounced": True}),
        ("Customer.io", {"unsubscribed": "true"}),
        ("Braze", {"email_subscribe": "unsubscribed"}),
        ("Braze, groups", {"subscription_groups": [{"id": "x", "subscription_state": "unsubscribed"}]}),
        ("Klaviyo", {"subscriptions": {"email": {"marketing": {"consent": "UNSUBSCRIBED"}}}}),
        ("Klaviyo, may not", {"subscriptions": {"email": {"marketing": {"can_receive_email_marketing": False}}}}),
        ("Mailchimp", {"status": "cleaned"}),
        ("Mailchimp, a member", {"mailchimp": {"status": "unsubscribed"}}),
        ("Marketo", {"unsubscribed": 1, "unsubscribedReason": "x"}),
        ("Marketo, suspended", {"marketingSuspended": True}),
        ("Brevo", {"emailBlacklisted": True}),
        ("Mailjet", {"IsExcludedFromCampaigns": True}),
        ("Shopify", {"email_marketing_consent": {"state": "unsubscribed", "opt_in_level": "single_opt_in"}}),
        ("Shopify, never", {"emailMarketingConsent": {"marketingState": "NOT_SUBSCRIBED"}}),
        ("Dynamics", {"donotbulkemail": True}),
        ("Pipedrive", {"marketing_status": "no_consent"}),
        ("Zoho", {"Email_Opt_Out": "true"}),
        ("MoEngage", {"moe_unsubscribe": True}),
        ("CleverTap", {"MSG-email": False}),
        ("OneSignal", {"email_opted_out": True}),
        ("Drip", {"eu_consent": "denied"}),
        ("Outreach", {"optedOut": True}),
        ("Zendesk", {"user_fields": {"email_opt_out": True}}),
        ("Segment", {"consent": {"categoryPreferences": {"Advertising": True, "Marketing": False}}}),
    ],
)
def test_a_no_is_heard_as_each_tool_writes_it(tool: str, traits: dict[str, object]) -> None:
    assert declines_mail(traits), tool


@pytest.mark.parametrize(
    "traits",
    [
        {"consent": {"email": False}},
        {"consent": {"marketing_communications": "no"}},
        {"emailPreferences": {"marketing": "no"}},
        {"preferences": {"unsubscribed": True}},
        {"preferences": {"channels": {"email": {"enabled": False}}}},
        {"subscription_preferences": {"email_opt_out": "1"}},
        {"settings": {"mail": {"opted_out": True}}},
        {"consents": [{"channel": "sms", "granted": True}, {"channel": "email", "granted": False}]},
        {"consents": [{"purpose": "marketing", "status": "withdrawn"}]},
        {"preferences": [{"type": "newsletter", "value": "off"}]},
        {"opt_outs": [{"channel": "email", "value": True}]},
        {"email_consent": {"status": "unsubscribed", "method": "form"}},
        {"unsubscribed": ["email"]},
        {"unsubscribed": {"email": True}},
        {"opt_outs": ["sms", "EMAIL"]},
        {"do_not_contact": ["all"]},
        {"unsubscribed": [True]},
        {"custom": {"crm": {"contact": {"unsubscribed": "yes"}}}},
    ],
)
def test_a_no_is_heard_inside_objects_and_lists(traits: dict[str, object]) -> None:
    assert declines_mail(traits)


@pytest.mark.parametrize("traits", [{"unsubscribed": False}, {"email_opt_in": True}, {"email_subscribe": "opted_in"}])
def test_a_yes_to_mail_is_read_as_well(traits: dict[str, object]) -> None:
    assert {one.opted_out for one in read_consent_traits(traits)} == {False}


@pytest.mark.parametrize(
    "traits",
    [
        {},
        {"subscribed": False},
        {"plan": "unsubscribed"},
        {"email_opt_in": "2026-01-01"},
        {"sms_opt_out": True},
        {"push_unsubscribed": True},
        {"unsubscribe_url": "https://acme.test/u"},
        {"unsubscribe_count": 3},
        {"not_unsubscribed": True},
        {"subscription_status": "canceled", "status": "active", "state": "blocked"},
        {"subscription": {"email_invoices": False, "state": "canceled"}},
        {"consent": {"analytics": False, "sms": False}},
        {"consent": {"categoryPreferences": {"Advertising": False, "C0004": False}}},
        {"email_notifications_enabled": False},
        {"notifications": {"email": {"enabled": False}}},
        {"casino_email": "ann@acme.test"},
        {"email_verified": False},
        {"email": {"verified": False}},
        {"marketing_budget": 0},
        {"marketing": {"budget": 0}},
        {"consent": {"email": True, "double_opt_in": False}},
        {"unsubscribed_from_newsletter": False},
        {"unsubscribed_at": None},
        {"email_marketing_consent": {"state": "subscribed", "consent_updated_at": None}},
        {"channels": {"sms": {"unsubscribed": True}}},
        {"consents": [{"channel": "sms", "granted": False}]},
        {"opt_outs": ["sms"]},
        {"opted_in": True, "tags": ["subscribed"], "bounced": 3},
        {"opt_outs": [{"channel": "email", "value": False}]},
        {"consents": [{"channel": "email", "granted": True, "granted_at": "2026-01-01", "source": "none"}]},
        {"team": {"members": [{"email": "bob@acme.test", "unsubscribed": True}]}},
        {"integrations": {"email": {"enabled": False}}},
    ],
)
def test_what_says_nothing_clear_about_mail_is_neither(traits: dict[str, object]) -> None:
    assert {one.opted_out for one in read_consent_traits(traits)} - {None} == set()


def test_what_is_looked_at_has_a_bound() -> None:
    deep: Any = True
    for _ in range(500):
        deep = {"consent": [deep]}
    assert not declines_mail(deep)
    assert not declines_mail({"wide": {str(number): number for number in range(10_000)}})


@given(st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON) | st.lists(st.dictionaries(NAMES, JSON), max_size=2)))
def test_every_json_is_taken(traits: dict[str, Any]) -> None:
    read_consent_traits(traits)
    for value in traits.values():
        read_opt_out(value)
