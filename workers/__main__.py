"""`python -m workers` runs a worker."""

if __name__ == "__main__":
    from workers.main import main

    main()
