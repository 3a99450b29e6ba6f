"""Rules: look-alikes, addresses, roles, ids."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.domain import emails
from accounts.domain.deployments import check_id, look_alike
from accounts.domain.roles import CUSTOMER_ROLES, STAFF_ROLES, check_role
from kernel.errors import Refusal

IDS = st.text("0123456789", min_size=4, max_size=12)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (("14181336", "a"), ("14181337", "b"), True),  # replaced
        (("14181336", "a"), ("14183136", "b"), True),  # swapped
        (("14181336", "a"), ("1418136", "b"), True),  # left out
        (("14181336", "a"), ("141811336", "b"), True),  # typed twice
        (("14181336", "a"), ("14181347", "b"), False),
        (("14181336", "a"), ("14161338", "b"), False),  # two digits that are no neighbours
        (("123", "a"), ("124", "b"), False),  # so short that the difference shows
        (("111111", "Berlin HQ"), ("999999", "berlin-hq"), True),  # case and punctuation
        (("111111", "Berlin 1"), ("999999", "Berlin 2"), True),
        (("111111", "Berlin"), ("999999", "Lisbon"), False),
        (("111111", "***"), ("999999", "---"), False),  # nothing but punctuation is compared as it is
        (("111111", "A1"), ("999999", "A2"), False),
    ],
)
def test_look_alikes(one: tuple[str, str], other: tuple[str, str], alike: bool) -> None:
    assert look_alike(one, other) is alike
    assert look_alike(other, one) is alike


@given(IDS, st.data())
def test_one_edit_is_always_noticed(deployment_id: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(deployment_id) - 1))
    digit = data.draw(st.sampled_from("0123456789"))
    edits = {
        deployment_id[:at] + digit + deployment_id[at:],
        deployment_id[:at] + digit + deployment_id[at + 1 :],
        deployment_id[:at] + deployment_id[at : at + 2][::-1] + deployment_id[at + 2 :],
    } - {deployment_id}
    for edited in edits:
        assert look_alike((deployment_id, "Berlin"), (edited, "Lisbon"))
        assert look_alike((edited, "Berlin"), (deployment_id, "Lisbon"))


@given(IDS, IDS)
def test_look_alike_is_what_an_edit_distance_of_one_says(one: str, other: str) -> None:
    assert look_alike((one, "Berlin"), (other, "Lisbon")) is (_distance(one, other) == 1)


def _distance(one: str, other: str) -> int:
    """Optimal string alignment distance by the textbook table: slow, and plainly right."""
    table = [[max(row, column) if 0 in (row, column) else 0 for column in range(len(other) + 1)]
             for row in range(len(one) + 1)]  # fmt: skip
    for row in range(1, len(one) + 1):
        for column in range(1, len(other) + 1):
            table[row][column] = min(
                table[row - 1][column] + 1,
                table[row][column - 1] + 1,
                table[row - 1][column - 1] + (one[row - 1] != other[column - 1]),
            )
            if row > 1 and column > 1 and one[row - 2 : row] == other[column - 2 : column][::-1]:
                table[row][column] = min(table[row][column], table[row - 2][column - 2] + 1)
    return table[-1][-1]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(" Ada@Acme.Example ", "ada@acme.example"), ("o'neill+shop@münchen.example", "o'neill+shop@münchen.example")],
)
def test_addresses_are_normalised(typed: str, kept: str) -> None:
    assert emails.accepted(typed) == kept


@given(st.text(max_size=40))
@example("\u00b4ada")  # becomes a blank and a combining accent
def test_a_normalised_address_stays_as_it_is(typed: str) -> None:
    once = emails.normalised(typed)
    assert emails.normalised(once) == once


@pytest.mark.parametrize(
    "typed",
    ["", "ada", "@acme.example", "ada@", "ada@acme", "a@b@c.example", "a b@c.example", "ada@acme.example\r\nBcc: x@y.z",
     "<ada@acme.example>", "a" * 250 + "@acme.example"],
)  # fmt: skip
def test_what_no_mail_could_be_sent_to_is_refused(typed: str) -> None:
    with pytest.raises(Refusal, match="email_invalid"):
        emails.accepted(typed)


def test_staff_belong_to_the_platform_and_customers_do_not() -> None:
    for role in CUSTOMER_ROLES:
        check_role(role, platform=False)
        with pytest.raises(Refusal, match="role_invalid"):
            check_role(role, platform=True)
    for role in STAFF_ROLES:
        check_role(role, platform=True)
        with pytest.raises(Refusal, match="role_invalid"):
            check_role(role, platform=False)


@pytest.mark.parametrize("wrong", ["", "14 18", "-1", "1e3", "1234567890123", "١٢٣", "14181336\n"])
def test_what_is_no_deployment_id_is_refused(wrong: str) -> None:
    with pytest.raises(Refusal, match="deployment_id_invalid"):
        check_id(wrong)
