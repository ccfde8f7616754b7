"""Tokens: a tokenizer, the corpus encoded and packed, the blocks shuffled."""

from jobs.recipe_blocks import TokenizeBlock
from jobs.recipe_yaml import RecipeError
from jobs.steps.settings import Settings, distinct
from pipeline.locations import read_location, shown
from pipeline.plan import Emit, Input, Map, Output, Shuffle, Step
from pipeline.sources.files import reason
from transforms.conditional import Where
from transforms.dependencies import Imports
from transforms.fill_in_the_middle import SENTINELS, FillInTheMiddle
from transforms.mixture import Drawn, Mixture, Packed, PackedTokens
from transforms.pack import Pack, ShuffleBlocks
from transforms.tokenizer import Encode, GivenTokenizer, SampleDocuments, SumSizes, TrainTokenizer


def steps(settings: Settings) -> list[Step]:
    """The tokenizer, how often each file is packed, the blocks of tokens and their order."""
    tokenize, seed = settings.recipe.tokenize, settings.recipe.seed
    trained = _tokenizer(tokenize)
    vocabulary, fim = trained.vocabulary, tokenize.fim
    sample = SampleDocuments(tokenize.sample_bytes, seed, side=("_work/corpus_size",))
    size = Shuffle(
        "corpus_size",
        (Emit((Input("corpus", SumSizes().reads),), (), SumSizes()),),
        key="size",
        order=("language",),
        partitions=1,
        reduce=SumSizes(),
        output=Output("_work/corpus_size", SumSizes().reads),
    )
    train = Shuffle(
        "tokenizer",
        (Emit((Input("corpus", sample.reads),), (), sample),),
        key="draw",
        order=("content",),
        partitions=1,
        reduce=trained,
        output=Output("tokenizer", ("name", "data"), format="files"),
    )
    encode = Encode(vocabulary, FillInTheMiddle(fim.rate, fim.spm_rate, seed) if fim.rate else None)
    shuffle = ShuffleBlocks(tokenize.block, vocabulary, seed)
    mix = Map(
        "shuffle",
        (Output("tokens", tuple(shuffle.schema.names), format="arrow", file_name="data-{shard:05d}.arrow"),),
        shards=settings.recipe.output.shards,
        inputs=(Input("_work/blocks", tuple(shuffle.schema.names)),),
        reduce=shuffle,
        balance=("token_count", "token_count"),
        transposed=True,
    )
    return [size, train, *_mixture(settings), *_blocks(settings, encode), mix]


def _tokenizer(block: TokenizeBlock) -> TrainTokenizer | GivenTokenizer:
    sentinels = SENTINELS if block.fim.rate else ()
    if block.tokenizer is None:
        return TrainTokenizer(block.vocab_size, block.sample_bytes, block.block, sentinels)
    try:
        given = GivenTokenizer(read_location(block.tokenizer), block.block, special_tokens=sentinels)
        given.check()
    except OSError as error:
        told = f"{shown(block.tokenizer)} cannot be read: {reason(error)}; name a file tokenizer.json"
        raise RecipeError(f"tokenize.tokenizer: {told}") from error
    except ValueError as error:
        raise RecipeError(f"tokenize.tokenizer: {shown(block.tokenizer)}: {error}") from error
    return given


def _mixture(settings: Settings) -> list[Step]:
    """How often each file of the corpus is packed."""
    block = settings.recipe.tokenize.mixture
    if block is None:
        return []
    weights = tuple((str(name), weight) for name, weight in block.weights.items())
    mixture = Mixture(weights, 1 if block.temperature is None else block.temperature)
    drawn = Drawn("origin" if block.by == "source" else "language", settings.recipe.seed)
    given = ("origin",) if block.by == "source" else ()
    files = Input("corpus", ("row_id", "content_id", "size", *(() if given else ("language",))))
    origins = tuple(Input("_work/origins", given) for _ in given)
    mixed = Shuffle(
        "mixture",
        (Emit((files, *origins), (drawn,), columns=("row_id", "size", *drawn.adds.names)),),
        key="group",
        order=("draw", "row_id"),
        partitions=1,
        reduce=mixture,
        output=Output("_work/mixture", tuple(mixture.schema.names)),
        conserves=True,
    )
    home = Shuffle(
        "home_mixture",
        (Emit((Input("_work/mixture", tuple(mixture.schema.names)),)),),
        key="row_id",
        order=(),
        partitions=settings.recipe.output.shards,
        output=Output("mixture", ("group", "size", "copies"), tally=("group", "copies")),
        homeward=True,
    )
    return [mixed, home]


def _blocks(settings: Settings, encode: Encode) -> list[Step]:
    """The corpus encoded and packed: where it lies, or gathered by repository."""
    recipe, shards = settings.recipe, settings.recipe.output.shards
    block, by_repository, mixture = (
        recipe.tokenize.block,
        recipe.tokenize.order == "repository",
        recipe.tokenize.mixture,
    )
    pack = Pack(block, encode.vocabulary, recipe.seed, by_repository, mixture is not None)
    blocks = Output("_work/blocks", tuple(pack.schema.names), format="arrow", file_name="part-{shard:05d}.arrow")
    transforms, counted, copies = (encode,), "token_count", ()
    if mixture:
        transforms, counted = (Packed(), Where("packed", encode), PackedTokens()), "packed_tokens"
        copies = (Input("mixture", ("copies",)),)
    if not by_repository:
        files = Input("corpus", ("row_id", "content_id", "content"))
        return [
            Map(
                "tokenize",
                (blocks,),
                shards,
                (files, *copies),
                transforms=transforms,
                reduce=pack,
                balance=(counted, "token_count"),
            )
        ]
    encoded = distinct((*pack.reads, counted))
    files = Input("corpus", ("row_id", "repo", "path", "language", "content_id", "content"))
    return [
        Map(
            "tokenize",
            (Output("_work/encoded", encoded, format="arrow", file_name="part-{shard:05d}.arrow"),),
            shards,
            (files, *copies),
            transforms=(*transforms, Imports()),
        ),
        Map(
            "pack",
            (blocks,),
            shards,
            (Input("_work/encoded", encoded),),
            reduce=pack,
            gathered_by="repo",
            balance=(counted, "token_count"),
        ),
    ]
