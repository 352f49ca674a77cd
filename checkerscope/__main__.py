"""`python -m checkerscope`, the same as the console script."""

from checkerscope.experiments.__main__ import main

if __name__ == "__main__":
    main()
