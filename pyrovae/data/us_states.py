"""The fifty states of the USA and the District of Columbia, by postal code and by name."""

from pyrovae.errors import PyrovaeError, did_you_mean

STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DC": "District of Columbia", "DE": "Delaware", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "IA": "Iowa", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "KS": "Kansas", "KY": "Kentucky",
    "LA": "Louisiana", "MA": "Massachusetts", "MD": "Maryland", "ME": "Maine", "MI": "Michigan", "MN": "Minnesota",
    "MO": "Missouri", "MS": "Mississippi", "MT": "Montana", "NC": "North Carolina", "ND": "North Dakota",
    "NE": "Nebraska", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NV": "Nevada", "NY": "New York",
    "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island",
    "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VA": "Virginia",
    "VT": "Vermont", "WA": "Washington", "WI": "Wisconsin", "WV": "West Virginia", "WY": "Wyoming",
}  # fmt: skip

# What is compared with what a user wrote: codes and names, without case, dots and surplus spaces.
CODES = {word.casefold(): code for code, name in STATES.items() for word in (code, name)}


def state_code(text: str) -> str:
    """Returns the postal code of a state that is named by its code or its name.

    Raises:
        PyrovaeError: There is no such state; the nearest one is named.

    Example:
        >>> state_code("new  york"), state_code("D.C.")
        ('NY', 'DC')
        >>> try:
        ...     state_code("Texs")
        ... except PyrovaeError as error:
        ...     print(error)
        unknown state 'Texs'
    """
    word = " ".join(text.replace(".", "").split()).casefold()
    if word not in CODES:
        names = {known: STATES[code] if len(known) > 2 else code for known, code in CODES.items()}
        hint = did_you_mean(" ".join(text.split()).title(), [name for name in names.values() if len(name) > 2])
        known = "a postal code such as TX, or a name such as Texas"
        raise PyrovaeError(f"unknown state '{text[:40]}'", hint=hint if hint.startswith("did") else known)
    return CODES[word]
