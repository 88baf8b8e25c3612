"""What kind of thing an ImageNet class is, for when its name is too much to say; in six languages.

Only kinds that say something to a person: an object of no such kind has none. It knows classes by their index.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: its classes as ranges of indices, first and last, and how it is called by language."""

    classes: tuple[tuple[int, int], ...]
    phrases: dict[str, str]


def _kind(classes: str, en: str, es: str, fr: str, de: str, it: str, pt: str) -> Kind:
    ranges = (part.partition("-") for part in classes.split())
    return Kind(
        classes=tuple((int(first), int(last or first)) for first, _, last in ranges),
        phrases={"en": en, "es": es, "fr": fr, "de": de, "it": it, "pt": pt},
    )


KINDS = (
    _kind("0-397", "an animal", "un animal", "un animal", "ein Tier", "un animale", "um animal"),
    _kind("984-998", "a plant", "una planta", "une plante", "eine Pflanze", "una pianta", "uma planta"),
    _kind("924-957 959-967 969", "food", "comida", "de la nourriture", "etwas zu essen", "cibo", "comida"),
    _kind("970 972-980", "a landscape", "un paisaje", "un paysage", "eine Landschaft", "un paesaggio", "uma paisagem"),
    _kind(
        """403-405 407 408 417 436 444 450 466 468 472 484 510 511 547 554 555 565 569 573 575 576 586 603 609 612
        625 627 628 654 656 660 661 665 670 671 675 690 705 717 724 734 751 757 779 780 802 803 812 814 817 820 829
        833 847 864 866 867 870 871 874 880 895 913 914""",
        "a vehicle",
        "un vehículo",
        "un véhicule",
        "ein Fahrzeug",
        "un veicolo",
        "um veículo",
    ),
    _kind(
        """425 437 449 483 497 498 500 538 580 624 634 663 668 682 698 718 727 743 762 821 832 839 873 888 900""",
        "a building",
        "un edificio",
        "un bâtiment",
        "ein Gebäude",
        "un edificio",
        "um edifício",
    ),
    _kind(
        """399 400 411 433 439 451 452 457 459 465 474 501 502 514 515 518 560 568 578 601 608 610 614 615 617
        630 638 639 652 655 658 667 689 697 735 770 774 775 793 796 806 808 824 834 837 841 842 869 887 906""",
        "a piece of clothing",
        "una prenda de vestir",
        "un vêtement",
        "ein Kleidungsstück",
        "un indumento",
        "uma peça de roupa",
    ),
    _kind(
        """401 402 420 432 486 494 513 541 546 558 566 577 579 593 594 641 642 683 684 687 699 776 822 875 881 889""",
        "a musical instrument",
        "un instrumento musical",
        "un instrument de musique",
        "ein Musikinstrument",
        "uno strumento musicale",
        "um instrumento musical",
    ),
)


def kind_of_class(classes: int) -> list[int]:
    """The number of each class's kind, -1 where it has none."""
    found = [-1] * classes
    for number, kind in enumerate(KINDS):
        for first, last in kind.classes:
            found[first : last + 1] = [number] * (last + 1 - first)
    return found
